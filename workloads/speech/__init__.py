"""What the workloads of speech recognition share: log-mel features, layers, loss, decoding and data."""
