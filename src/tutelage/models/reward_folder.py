"""A reward model's folder: what lies in it, and loading it again (R4, R12)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import ValidationError

from tutelage.config import Config, UserError
from tutelage.models.readouts import AnyReadout, LastToken
from tutelage.run_folder import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tutelage.models.reward_module import RewardModel

FACTS = "reward_model.json"
READOUT = "readout.safetensors"
CLASSIFIER = "ForSequenceClassification"

Learned = Literal["preferences", "ages"]


class Facts(Config):
    """What a saved reward model has to know beside its weights."""

    version: Literal[1] = 1
    """Of this format."""
    readout: AnyReadout = LastToken()
    """What makes a score of hidden states."""
    learned: Learned = "preferences"
    """What its scores are: how good a text is; or how old its writer, in log2 steps."""
    max_tokens: int
    """Longest text that it reads; of a longer one, the end."""
    add_eos: bool
    """Whether a text ends with an end-of-text token."""
    scale: float = 1.0
    """What the read-out's number is multiplied by, to be the score …"""
    shift: float = 0.0
    """… after this is added."""


class Loaded(NamedTuple):
    """A reward model, ready to score."""

    model: RewardModel
    tokenizer: PreTrainedTokenizerBase
    facts: Facts


def load_facts(folder: Path) -> Facts | None:
    """What was saved beside a reward model's weights; none for other programs' models."""
    path = folder / FACTS
    if not path.is_file():
        return None
    try:
        return Facts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split()[:20])
        raise UserError(
            f"{path} is damaged, or of another version of tutelage ({reason}). "
            "Train the reward model again, or restore the file."
        ) from None


def write_scale(folder: Path, *, scale: float, shift: float) -> None:
    """Change the scale of the scores of a reward model that is saved already."""
    facts = load_facts(folder)
    assert facts is not None
    change = {"scale": scale, "shift": shift}
    write_json(folder / FACTS, facts.model_copy(update=change).model_dump(mode="json"))


def refuse_folder(path: str) -> None:
    """Raise, before anything heavy loads, unless a folder is that of a reward model."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        if path[:1] in "./~" or path.count("/") > 1:
            raise UserError(
                f"The reward model {path} is not a folder. Give a saved model's folder "
                "or its name on the hub."
            )
        return
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = config.get("architectures") or ["a model of unknown kind"]
    except (OSError, ValueError, AttributeError):
        raise UserError(
            f"The reward model's folder {path} holds no model (no config.json that can be "
            "read). Give a folder that save_pretrained wrote."
        ) from None
    facts = load_facts(folder)
    if facts is not None and not isinstance(facts.readout, LastToken):
        refuse_headless(folder)
        return
    if not names[0].endswith(CLASSIFIER):
        raise UserError(
            f"The folder {path} holds {names[0]}, which is no reward model: its score "
            f"head would start at random. Give a trained …{CLASSIFIER} with one label, or what "
            "`tutelage reward` saved."
        )
    # Transformers does not write down its default, two.
    refuse_labels(path, config.get("num_labels") or len(config.get("id2label", (0, 1))))


def refuse_headless(folder: Path) -> None:
    """Raise if the read-out that was trained is missing."""
    if not (folder / READOUT).is_file():
        raise UserError(
            f"The reward model {folder} has no {READOUT}, so its scores would be random. "
            "Copy the whole folder that training saved."
        )


def refuse_labels(path: str, num_labels: int) -> None:
    """Raise unless there is one label."""
    if num_labels != 1:
        raise UserError(
            f"The model {path} has {num_labels} labels, but a reward model has one: its score. "
            "Train or save it with num_labels=1."
        )


def load_reward_model(path: str) -> Loaded:
    """A reward model with its tokenizer, refused if any of its weights would start at random.

    It is in float32, on the CPU, and does not learn.
    """
    from safetensors.torch import load_file

    from tutelage.models.reward_module import RewardModel

    folder = Path(path).expanduser()
    refuse_folder(path)
    facts = load_facts(folder)
    trunk, tokenizer = _load(path, facts)
    facts = facts or Facts(max_tokens=_longest(trunk, tokenizer), add_eos=False)
    model = RewardModel.of(trunk, facts)
    if model.kind is None:
        try:
            assert model.readout is not None
            model.readout.load_state_dict(load_file(folder / READOUT))
        except RuntimeError as error:
            raise UserError(
                f"{folder / READOUT} does not belong to the model beside it: "
                f"{str(error).strip().splitlines()[-1].strip()} "
                "Copy the whole folder that training saved."
            ) from None
    model.normalise(scale=facts.scale, shift=facts.shift)
    return Loaded(model.requires_grad_(False).eval(), tokenizer, facts)


def _load(path: str, facts: Facts | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The Transformers model and the tokenizer of a folder or hub name."""
    import torch
    from transformers import (
        AutoModel,
        AutoModelForSequenceClassification,
        AutoModelForTextEncoding,
        AutoTokenizer,
    )

    from tutelage.models.architecture import without_progress_bars

    folder = Path(path).expanduser()
    name = str(folder) if folder.is_dir() else path
    kind: Any = AutoModelForSequenceClassification
    if facts is not None and not isinstance(facts.readout, LastToken):
        has_decoder = facts.readout.needs(1).where == "decoder start"
        kind = AutoModel if has_decoder else AutoModelForTextEncoding
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        with without_progress_bars():
            model, info = kind.from_pretrained(
                name, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"No reward model can be loaded from {path}: {str(error).strip().splitlines()[0]} "
            "Give the folder of a saved sequence classifier (safetensors) with its tokenizer."
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"The reward model {path} has no weights for {missing[0]}, which would start at "
            "random. Give a trained reward model, saved with its head."
        )
    if kind is AutoModelForSequenceClassification:
        refuse_labels(path, model.config.num_labels)
    known = len(model.get_input_embeddings().weight)
    if len(tokenizer) > known:
        raise UserError(
            f"The tokenizer in {path} has {len(tokenizer)} tokens, but the reward model there "
            f"knows {known} only. Save the model with the tokenizer that it was trained with."
        )
    return model, tokenizer


def _longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Most tokens that another program's reward model reads."""
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(tokenizer.model_max_length, longest or tokenizer.model_max_length)
