"""Makes the pictures of the documents from real runs on built-in data: `make pictures`.

Trains ogbg as `make train` does, and some algorithms on small workloads. Then it scores these, and takes the learning
curve, the performance profiles and a screenshot of the report. That takes about ten minutes on two idle cores. Finished
trials are not run again: the same command continues after an interruption, and draws again when all are there.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
PICTURES = ROOT / "docs/pictures"
MOST_BYTES = 100_000
_TRAIN = [sys.executable, "-m", "algoperf_jax.main"]
_SUBMISSIONS = {
    "nadamw": [],
    "lion": ["--config.submission=lion"],
    "muon": ["--config.submission=muon"],
    "optax_factory": ["--config.submission=examples/optax_factory.py"],
}
_WORKLOADS = ("configs/mnist.py", "configs/imagenet_resnet.py:small")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SIZE = (1280, 860)


def run(experiments: pathlib.Path) -> None:
    """Trains what has not been trained yet."""
    for arguments in (
        ["--config=configs/ogbg.py", "--config.experiment_name=first"],
        *(
            [f"--config={file}", *submission, "--config.experiment_name=compared"]
            for file in _WORKLOADS
            for submission in _SUBMISSIONS.values()
        ),
    ):
        subprocess.run([*_TRAIN, *arguments, f"--config.experiment_dir={experiments}"], cwd=ROOT, check=True)


def draw(experiments: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the pictures of trials that are finished into a folder."""
    (curve,) = experiments.glob("first/nadamw/study_1/ogbg_builtin_jax/trial_1/learning_curve.png")
    write_picture(curve, folder / "learning_curve.png")
    with tempfile.TemporaryDirectory() as name:
        report = pathlib.Path(name)
        # The report shows the path of the logs as it is given.
        score = [
            sys.executable,
            "-m",
            "scoring",
            "--logs=compared",
            "--builtin",
            f"--out={report}",
            "--baseline=nadamw",
        ]
        subprocess.run(score, cwd=experiments, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
        write_picture(report / "figures/performance_profiles.png", folder / "performance_profiles.png")
        write_picture(_screenshot(report / "report.html"), folder / "scoring_report.png")


def _screenshot(page: pathlib.Path) -> pathlib.Path:
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"error: no browser for the screenshot: none of {', '.join(_BROWSERS)} is installed")
    picture, (width, height) = page.with_suffix(".png"), _SIZE
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run([browser, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    return picture


def write_picture(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a picture with 256 colours, which keep those of thin lines."""
    with Image.open(source) as picture:
        few = picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(target, optimize=True)
    size = target.stat().st_size
    assert size <= MOST_BYTES, f"{target} has {size:,} bytes"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate.pictures", description=__doc__)
    parser.add_argument(
        "--experiments", type=pathlib.Path, default=ROOT / "experiments/pictures", help="where the trials are kept"
    )
    options = parser.parse_args(arguments)
    run(options.experiments)
    draw(options.experiments, PICTURES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
