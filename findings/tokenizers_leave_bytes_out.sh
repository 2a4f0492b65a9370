#!/usr/bin/env bash
# tokenizers: a byte-level BPE tokenizer leaves out the bytes that its training text did not have.
#
# Expected: Byte-level tokenizers know all 256 bytes, so that any text can be encoded and decoded again.
#
# What happens: The pre-tokenizer turns text into 256 symbols, but a trainer only makes tokens of the symbols that it
# saw, unless it is given `initial_alphabet=ByteLevel.alphabet()`. Encoding drops the others: no error, no token.
#
# Why it matters here: Training and validation text both shrink, and a perplexity per token becomes better than it is.
#
# Seen with: tokenizers==0.23.3; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tokenizers==0.23.3
venv/bin/python - <<'PYTHON'
import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

print("tokenizers", tokenizers.__version__)
TEXT = "café zoo 7"


def encoded(**options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False, **options)
    tokenizer.train_from_iterator(["a cafe for a fee"] * 9, trainer)
    return tokenizer.decode(tokenizer.encode(TEXT).ids)


for options in ({}, {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}):
    print(f"{', '.join(options) or 'default'}: {TEXT!r} -> {encoded(**options)!r}")
assert encoded(initial_alphabet=pre_tokenizers.ByteLevel.alphabet()) == TEXT
assert encoded() == "caf oo ", "nothing is left out now"
PYTHON
