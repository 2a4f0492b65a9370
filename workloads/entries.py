"""The table of workloads: every named model, and the arguments that build it.

A new variant is one row here, its published targets and budgets in `scoring/targets/` (see `workloads/editions.py`),
reference numbers in `tests/golden/` and a line in the changelog. The table of `docs/workloads.md` and
`scoring/targets/builtin.json` are generated from here: `python -m workloads.tables --write`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

Suite = Literal["algoperf", "development", "mlbench"]
"""The suite of a model: the AlgoPerf benchmark, MLBench, or neither (for quick experiments)."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model with a name.

    Attributes:
      arguments: arguments of `build` that differ from the defaults.
      suite: the suite of the model.
      model: the model in a few words, for the tables.
      examples: task and data in a few words, for the tables; "the same" if they are those of the workload.
    """

    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    suite: Suite = "development"
    model: str = ""
    examples: str = "the same"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A workload and its variants.

    Attributes:
      module: package with `build(name, *, data_dir, **arguments) -> Workload`.
      base: the workload itself.
      variants: suffix of the name -> variant.
      data: package with the module `prepare`, if it is another one.
      dataset: name of the data set, if several workloads share it and it can be prepared by a name of its own.
    """

    module: str
    base: Variant = Variant()
    variants: Mapping[str, Variant] = dataclasses.field(default_factory=dict)
    data: str | None = None
    dataset: str | None = None

    @property
    def rows(self) -> dict[str, Variant]:
        """The workload, with the suffix "", and its variants."""
        return {"": self.base, **self.variants}


_SMALL_SPEECH = "transcripts of a small invented spoken language"
_SMALL_IMAGES = "64x64 images, the built-in ones of 10 classes"

ENTRIES: Mapping[str, Entry] = {
    "ogbg": Entry(
        "workloads.ogbg",
        base=Variant(
            suite="algoperf",
            model="graph network, 5 rounds of message passing, width 256",
            examples="128 properties of molecules, ogbg-molpcba",
        ),
        variants={
            "gelu": Variant(
                arguments={"activation": "gelu"},
                suite="algoperf",
                model="the same with GELU (tanh approximation) for ReLU",
            ),
            "silu": Variant(
                arguments={"activation": "silu"},
                suite="algoperf",
                model="the same with SiLU for ReLU",
            ),
            "model_size": Variant(
                arguments={"hidden_dims": (256, 256), "latent_dim": 128, "num_message_passing_steps": 3},
                suite="algoperf",
                model="3 rounds, embeddings of 128, update functions of two layers",
            ),
        },
    ),
    "fastmri": Entry(
        "workloads.fastmri",
        base=Variant(
            suite="algoperf",
            model="U-Net, 4 halvings, 32 channels",
            examples="knee images from a quarter of k-space, fastMRI single coil",
        ),
        variants={
            "tanh": Variant(
                arguments={"activation": "tanh"},
                suite="algoperf",
                model="the same with tanh for leaky ReLU",
            ),
            "layernorm": Variant(
                arguments={"normalization": "layer"},
                suite="algoperf",
                model="layer normalization for instance normalization in the convolution blocks",
            ),
            "model_size": Variant(
                arguments={"size": "wide"},
                suite="algoperf",
                model="3 halvings, 64 channels",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="2 halvings, 12 channels",
                examples="the centres of the images, 64x64",
            ),
        },
    ),
    "imagenet_resnet": Entry(
        "workloads.imagenet_resnet",
        data="workloads.imagenet",
        base=Variant(
            suite="algoperf",
            model="ResNet-50",
            examples="1,000 classes of images, ImageNet",
        ),
        variants={
            "silu": Variant(
                arguments={"activation": "silu"},
                suite="algoperf",
                model="the same with SiLU for ReLU",
            ),
            "gelu": Variant(
                arguments={"activation": "gelu"},
                suite="algoperf",
                model="the same with GELU (tanh approximation) for ReLU",
            ),
            "large_bn_init": Variant(
                arguments={"bn_init_scale": 8.0},
                suite="algoperf",
                model="the last normalization of a block begins with scale 8 instead of 0",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="four narrow blocks",
                examples=_SMALL_IMAGES,
            ),
        },
    ),
    "imagenet_vit": Entry(
        "workloads.imagenet_vit",
        data="workloads.imagenet",
        base=Variant(
            suite="algoperf",
            model="vision transformer, ViT-S/16",
            examples="1,000 classes of images, ImageNet",
        ),
        variants={
            "glu": Variant(
                arguments={"use_glu": True},
                suite="algoperf",
                model="the same with gated linear units",
            ),
            "post_ln": Variant(
                arguments={"use_post_layer_norm": True},
                suite="algoperf",
                model="layer normalization after each layer",
            ),
            "map": Variant(
                arguments={"use_map": True},
                suite="algoperf",
                model="pooling by attention",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="width 96, four blocks",
                examples=_SMALL_IMAGES,
            ),
        },
    ),
    "wmt": Entry(
        "workloads.wmt",
        base=Variant(
            suite="algoperf",
            model="transformer, 6 blocks each for encoder and decoder, width 1,024",
            examples="translation from German to English, WMT17 and WMT14",
        ),
        variants={
            "post_ln": Variant(
                arguments={"use_post_layer_norm": True},
                suite="algoperf",
                model="layer normalization after each layer",
            ),
            "attention_temp": Variant(
                arguments={"attention_temperature": 4.0},
                suite="algoperf",
                model="the same with the scores of the attention multiplied by 4",
            ),
            "glu_tanh": Variant(
                arguments={"activation": "tanh", "use_glu": True},
                suite="algoperf",
                model="the same with gated linear units, and tanh for ReLU",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="two blocks each, width 128",
                examples="translation between two small invented languages",
            ),
        },
    ),
    "finewebedu_lm": Entry(
        "workloads.finewebedu_lm",
        base=Variant(
            suite="algoperf",
            model="decoder-only transformer, 12 blocks, width 1,024",
            examples="the next token of educational web pages, FineWeb-Edu",
        ),
        variants={
            "small": Variant(
                arguments={"size": "small"},
                model="two blocks, width 128",
                examples="the next token of an invented language",
            ),
        },
    ),
    "librispeech_conformer": Entry(
        "workloads.librispeech_conformer",
        data="workloads.speech",
        dataset="librispeech",
        base=Variant(
            suite="algoperf",
            model="Conformer, 4 blocks, width 512",
            examples="transcripts of read English, LibriSpeech",
        ),
        variants={
            "attention_temperature": Variant(
                arguments={"attention_temperature": 1.6},
                suite="algoperf",
                model="the same with what attention returns multiplied by 1.6",
            ),
            "layernorm": Variant(
                arguments={"use_block_layer_norm": False},
                suite="algoperf",
                model="the same without layer normalization at the end of a block",
            ),
            "gelu": Variant(
                arguments={"activation": "gelu"},
                suite="algoperf",
                model="the same with GELU (tanh approximation) for SiLU",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="two blocks, width 64",
                examples=_SMALL_SPEECH,
            ),
        },
    ),
    "librispeech_deepspeech": Entry(
        "workloads.librispeech_deepspeech",
        data="workloads.speech",
        dataset="librispeech",
        base=Variant(
            suite="algoperf",
            model="DeepSpeech, 6 recurrent layers in both directions, width 512",
            examples="transcripts of read English, LibriSpeech",
        ),
        variants={
            "tanh": Variant(
                arguments={"activation": "tanh"},
                suite="algoperf",
                model="the same with tanh for ReLU",
            ),
            "no_resnet": Variant(
                arguments={"use_residual": False},
                suite="algoperf",
                model="the same without residual connections",
            ),
            "norm_and_spec_aug": Variant(
                arguments={
                    "normalization": "layer",
                    "num_time_masks": 15,
                    "num_frequency_masks": 4,
                },
                suite="algoperf",
                model="layer normalization for batch normalization, and more of the features masked",
            ),
            "small": Variant(
                arguments={"size": "small"},
                model="two recurrent layers, width 64",
                examples=_SMALL_SPEECH,
            ),
        },
    ),
    "criteo1tb": Entry(
        "workloads.criteo1tb",
        base=Variant(
            suite="algoperf",
            model="DLRM, a table of 4,194,304 embeddings of width 128",
            examples="clicks on advertisements, Criteo 1TB",
        ),
        variants={
            "layernorm": Variant(
                arguments={"use_layer_norm": True},
                suite="algoperf",
                model="the same with layer normalization after each activation",
            ),
            "resnet": Variant(
                arguments={"use_residual": True},
                suite="algoperf",
                model="residual connections, and embeddings concatenated instead of multiplied",
            ),
            "embed_init": Variant(
                arguments={"embedding_scale": 1.0},
                suite="algoperf",
                model="the same with initial embeddings 2,048 times as large",
            ),
            "small": Variant(
                arguments={"size": "small", "vocab_size": 4_096},
                model="a table of 4,096 embeddings of width 16, narrow layers",
                examples="built-in clicks with at most 200 values per column",
            ),
            "test": Variant(
                arguments={"vocab_size": 65_536},
                model="a table of 65,536 embeddings, otherwise as criteo1tb",
            ),
        },
    ),
    "mnist": Entry(
        "workloads.mnist",
        base=Variant(
            model="784-128-10 sigmoid network",
            examples="10 classes of 28x28 digits, MNIST",
        ),
    ),
    "cifar": Entry(
        "workloads.cifar",
        base=Variant(
            model="ResNet-18, 3x3 stem",
            examples="10 classes of 32x32 color images, CIFAR-10",
        ),
    ),
}
