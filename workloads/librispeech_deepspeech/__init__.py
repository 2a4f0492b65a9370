"""LibriSpeech with a recurrent network, DeepSpeech: transcribes read English speech."""

from workloads.librispeech_deepspeech.workload import build as build
