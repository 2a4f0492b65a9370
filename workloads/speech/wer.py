"""Word error rates: the one that the published targets are on the scale of, and the plain one.

The benchmark's reference does not compare the texts but the printed form of the TensorFlow tensors that hold them. That
form has two more words for each utterance, and the first and the last word of the text are joined with parts of it. So
its rates are smaller by the share of these words, and errors in the first and the last word may count twice.
"""

from collections.abc import Sequence


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Wrong, missing and additional words of all utterances by the words of their references.

    Words are split at white space. This is no mean over utterances. References without words add to the errors only;
    the rate is NaN if no reference has words.

    Raises:
      ValueError: there are not as many hypotheses as references.
    """
    from rapidfuzz.distance import Levenshtein  # only evaluations of speech need it

    errors = num_words = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        words = reference.split()
        errors += Levenshtein.distance(hypothesis.split(), words)
        num_words += len(words)
    return errors / num_words if num_words else float("nan")


def published_word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The same for the printed forms of the texts, in which the benchmark's targets and published results are.

    The reference also counts three words for each row of padding, of which there are none here.
    """
    return word_error_rate([printed_tensor(text) for text in hypotheses], [printed_tensor(text) for text in references])


def printed_tensor(text: str) -> str:
    """What `str` makes of a TensorFlow tensor with this text."""
    return f"tf.Tensor({text.encode()!r}, shape=(), dtype=string)"
