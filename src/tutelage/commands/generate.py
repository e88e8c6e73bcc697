"""`tutelage generate`: what a checkpoint writes after a prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError
from tutelage.rewards.recovered import Recovered
from tutelage.run_folder import RunFolder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")


class Generate(Config):
    """Write text with a checkpoint."""

    checkpoint: tyro.conf.Positional[str]
    """Folder of a checkpoint, folder of a run (its newest checkpoint), or name on the hub."""
    prompt: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Text to continue, once for each prompt; without it, texts from their beginning."""
    num: PositiveInt = 1
    """Texts for each prompt."""
    best_of: PositiveInt = 1
    """Write so many candidates for each text, and keep the one that --rank-by ranks first."""
    rank_by: str | None = None
    """Checkpoint or run whose recovered reward ranks candidates: summed, the end token included."""
    rank_average: bool = False
    """Rank by the mean reward of a token; by the sum, long candidates are mostly last."""
    max_tokens: PositiveInt = 100
    """Most tokens to write after the prompt."""
    temperature: PositiveFloat = 1.0
    """Divides the logits: below 1 safer, above 1 wilder."""
    top_k: NonNegativeInt = 0
    """Sample among the k likeliest tokens only; 0: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample among the likeliest tokens that together have this probability."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """The same seed, prompts and options give the same texts."""
    greedy: bool = False
    """Take the likeliest token each time, whatever temperature, top-k and top-p say."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object a line, with prompt and response; of candidates also their scores."""

    def run(self) -> None:
        """Load the checkpoint, write, and print."""
        from tutelage.rollout.generate import generate

        judge = self._judge()
        name = resolve(self.checkpoint)
        model, tokenizer = load(name, trust_remote_code=self.trust_remote_code)
        prompts = [prompt for prompt in self.prompt or ("",) for _ in range(self.num)]
        responses = generate(
            model,
            tokenizer,
            [prompt for prompt in prompts for _ in range(self.best_of)],
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            greedy=self.greedy,
            seed=self.seed,
        )
        ranked = [[{"response": response}] for response in responses]
        if judge:
            groups = [
                responses[i : i + self.best_of] for i in range(0, len(responses), self.best_of)
            ]
            ranked = rank(judge, prompts, groups, device=model.device)
        show = _print_json if self.as_json else _print_text
        show(name, prompts, ranked)

    def _judge(self) -> Recovered | None:
        """Whose reward ranks candidates, if there are any; refused if it can't."""
        if self.rank_by is None:
            if self.best_of > 1:
                raise UserError(
                    f"--best-of {self.best_of} needs a reward to rank by. Give --rank-by "
                    "CHECKPOINT, for example one of `tutelage irl`."
                )
            return None
        if self.best_of == 1:
            raise UserError(
                f"--rank-by {self.rank_by} has nothing to rank: there is one candidate for each "
                "text. Ask for more with --best-of 8."
            )
        if self.greedy:
            raise UserError(
                "--greedy writes the same candidate each time, so there is nothing to rank. Leave "
                "it out, or --best-of."
            )
        judge = Recovered(path=resolve(self.rank_by), average=self.rank_average)
        judge.check()
        return judge


def rank(
    judge: Recovered, prompts: Sequence[str], groups: Sequence[Sequence[str]], *, device: Any
) -> list[list[dict[str, Any]]]:
    """The candidates for each prompt with their scores, best first; of equal ones as they came."""
    pairs = [(p, text) for p, group in zip(prompts, groups, strict=True) for text in group]
    found = judge.build(device)(*map(list, zip(*pairs, strict=True)))
    if note := next((note for note in found.notes or () if note), None):
        raise UserError(
            f"--rank-by {judge.path} can't compare all candidates: of a prompt, {note}. Give "
            "shorter prompts or --max-tokens, or a checkpoint that reads more."
        )
    scores = iter(found.scores.tolist())
    scored = [[{"response": text, "score": next(scores)} for text in group] for group in groups]
    return [sorted(each, key=lambda row: row["score"], reverse=True) for each in scored]


def resolve(checkpoint: str) -> str:
    """The folder of a checkpoint that is surely one, or a name to look up on the hub."""
    path = Path(checkpoint).expanduser()
    if not path.exists():
        if checkpoint.count("/") > 1 or checkpoint.startswith((".", "/", "~")):
            raise UserError(f"There is no folder {checkpoint}.")
        return checkpoint
    if not path.is_dir():
        raise UserError(f"{checkpoint} is a file, but a checkpoint is a folder.")
    if (path / "checkpoints").is_dir():
        newest = RunFolder(path).newest_checkpoint()
        if newest is None:
            raise UserError(f"The run {checkpoint} has no checkpoint yet.")
        path = newest
    has = set(os.listdir(path))
    missing = [names[0] for names in (("config.json", "adapter_config.json"), WEIGHTS, TOKENIZER)
               if not has.intersection(names)]  # fmt: skip
    if missing:
        pickled = " Pickled weights (.bin) are never loaded." if "pytorch_model.bin" in has else ""
        raise UserError(
            f"{path} is not a checkpoint: it lacks {' and '.join(missing)}.{pickled} "
            "Give a folder that save_pretrained wrote, or the folder of a run."
        )
    return str(path)


def load(name: str, *, trust_remote_code: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer, on the accelerator if there is one."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, **options)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        if "trust_remote_code" in str(error):
            reason = "it brings Python code. If you trust it, add --trust-remote-code."
        place = name if Path(name).is_dir() else f"There is no folder {name}, and from the hub it"
        raise UserError(f"{place} cannot be loaded: {reason}") from error
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    torch.nn.Module.to(model, device)
    return model, tokenizer


def _print_json(name: str, prompts: list[str], ranked: list[list[dict[str, Any]]]) -> None:
    """One object a line: what is first, and all candidates if there are several."""
    for prompt, candidates in zip(prompts, ranked, strict=True):
        row = {"checkpoint": name, "prompt": prompt, **candidates[0]}
        row |= {"candidates": candidates} if len(candidates) > 1 else {}
        print(json.dumps(row, ensure_ascii=False))


def _print_text(name: str, prompts: list[str], ranked: list[list[dict[str, Any]]]) -> None:
    """The texts that are first, prompts in bold, a rule between two texts."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for number, (prompt, candidates) in enumerate(zip(prompts, ranked, strict=True)):
        if number:
            console.print("---")
        console.print(Text.assemble((prompt, "bold"), candidates[0]["response"]))
