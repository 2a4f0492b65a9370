"""LibriSpeech, and what the models that transcribe it share."""
