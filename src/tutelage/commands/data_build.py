"""`tutelage data build`: prompts with completions as tokens, in a folder that can be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tutelage.config import Config, UserError
from tutelage.data import AnyExamples
from tutelage.data.cache import default_cache_dir
from tutelage.data.completions import CUTS, DROPS, told
from tutelage.data.lengths import Lengths
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.recipes.text import TextsOf
from tutelage.run_folder import write_folder, write_text
from tutelage.train.checkpoint import is_uploaded, refuse_without_token

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.data.completions import ExampleData

RETRIES = 5
COUNTS = {
    "read": "read",
    **{name: f"left out: {what}" for name, what in DROPS.items()},
    **{name: f"used, {what}" for name, what in CUTS.items()},
    "train": "for training",
    "validation": "for validation",
}
CARD = """\
---
configs:
- config_name: default
  data_files:
{files}
---
# {name}

Prompts with completions, prepared with tutelage (`tutelage data build`), for `tutelage sft` and
`tutelage irl`. Source: {source}. Tokenizer: {tokenizer}, {vocabulary:,} tokens. Seed {seed}.

Read it back with `--data.kind file --data.path {name}`, the same tokenizer and {lengths}.

| column | what |
|---|---|
| `prompt`, `completion` | as text |
| `answer` | what tells whether a response is right, if anything does |
| `prompt_ids`, `completion_ids` | as tokens, with the end token unless it was cut off |
| `num_prompt_tokens`, `num_completion_tokens` | how many |
| `is_cut` | whether `completion_ids` lack the completion's end |

## Examples

{counts}

## Lengths in tokens

{statistics}
"""


class DataBuild(Config):
    """Prepare prompts with completions: tokens, lengths checked, a part held out; for the hub."""

    data: AnyExamples
    """Prompts with completions."""
    out: Path
    """Folder to write, which must not exist yet."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Tokenizer: a saved one (path)."""
    lengths: Lengths = Lengths()
    """How long examples may be."""
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Part of the examples that is held out for validation, unless the data have their own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of that choice."""
    push: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Data set on the hub to push the folder to, as owner/name; none: nothing leaves this machine.
    """
    private: bool = True
    """Whether a data set that does not exist yet is made private."""

    def run(self) -> int:
        """Read, write, show what there is, and push if that is asked for."""
        from rich.console import Console

        self.check()
        console = Console(highlight=False, soft_wrap=True)
        with console.status("Reading the data"):
            tokenizer = self.tokenizer.build(TextsOf(self.data), default_cache_dir())
            data = self.data.read(
                tokenizer, lengths=self.lengths, val_fraction=self.val_fraction, seed=self.seed
            )
        write_folder(self.out, lambda folder: self.fill(folder, data, len(tokenizer)))
        console.print(told(data), markup=False)
        for title, rows in (("Examples", count_rows(data)), ("Tokens", length_rows(data))):
            console.print(_table(title, rows))
        console.print(self.out, markup=False)
        return self.upload(console) if self.push else 0

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        if self.out.exists():
            raise UserError(f"--out {self.out} exists. Name another folder, or delete it.")
        if self.tokenizer.path is None:
            raise UserError(
                "Examples become tokens, but no tokenizer is given: set --tokenizer.path to a "
                "saved one, such as that of the student to train."
            )
        if self.push is not None:
            refuse_without_token(f"--push {self.push}")
        self.tokenizer.check()
        self.data.check()

    def fill(self, folder: Path, data: ExampleData, vocabulary: int) -> None:
        """Write the files of the folder."""
        from tutelage.data.example_files import save_examples

        parts = save_examples(data, folder)
        write_text(folder / "README.md", self.card(data, parts, vocabulary))

    def card(self, data: ExampleData, parts: Sequence[str], vocabulary: int) -> str:
        """The page that tells what the folder holds; of paths on this machine their last names."""
        path = getattr(self.data, "path", None)
        source = f"`{self.data.kind}`" + (f", {Path(path).name}" if path else "")
        changed = self.lengths.model_dump(exclude_defaults=True)
        options = " ".join(f"--lengths.{name.replace('_', '-')} {value}"
                           for name, value in changed.items())  # fmt: skip
        return CARD.format(
            files="\n".join(f"  - split: {part}\n    path: {part}.parquet" for part in parts),
            name=(self.push or self.out.name).split("/")[-1],
            source=source,
            tokenizer=Path(str(self.tokenizer.path)).name,
            vocabulary=vocabulary,
            seed=self.seed,
            lengths=f"`{options}`" if options else "the usual lengths",
            counts="\n".join(_markdown(count_rows(data))),
            statistics="\n".join(_markdown(length_rows(data))),
        )

    def upload(self, console: Console) -> int:
        """Push the folder; returns the exit status."""
        from huggingface_hub import HfApi

        api, repo = HfApi(), str(self.push)

        def upload() -> None:
            api.create_repo(repo, repo_type="dataset", private=self.private, exist_ok=True)
            api.upload_folder(
                repo_id=repo,
                repo_type="dataset",
                folder_path=self.out,
                commit_message="Prompts with completions",
            )

        if is_uploaded(upload, repo, RETRIES, lambda text: console.print(text, markup=False)):
            console.print(f"Pushed to {repo}.", markup=False)
            return 0
        console.print(
            f"{self.out} was not pushed; it is safe. Push it later: "
            f"hf upload {repo} {self.out} --repo-type dataset",
            markup=False,
        )
        return 1


def count_rows(data: ExampleData) -> list[tuple[str, ...]]:
    """What became of the examples, under a heading."""
    return [
        ("examples", "number"),
        *((what, f"{data.counts[name]:,}") for name, what in COUNTS.items()),
    ]


def length_rows(data: ExampleData) -> list[tuple[str, ...]]:
    """How long the examples are, under a heading."""
    from tutelage.data.example_files import lengths_of

    rows = [
        (f"{part}, {what}", f"{mean:.1f}", f"{median:.0f}", f"{most:.0f}", f"{longest:,}")
        for part, what, mean, median, most, longest in lengths_of(data)
    ]
    return [("tokens of", "mean", "median", "95 % have at most", "longest"), *rows]


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table

    grid = Table(title=title)
    for number, name in enumerate(rows[0]):
        grid.add_column(name, justify="right" if number else "left")
    for row in rows[1:]:
        grid.add_row(*row)
    return grid


def _markdown(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if not number:
            yield "|---" + "|---:" * (len(row) - 1) + "|"
