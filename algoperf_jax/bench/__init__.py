"""Where the time of a trial goes: measurements, and reports that two revisions can be compared by."""
