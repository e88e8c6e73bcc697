"""Whether a demonstrator's tokens are the student's, seen from tokenizers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tutelage.config import UserError
from tutelage.data.cache import default_cache_dir
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig

if TYPE_CHECKING:
    from tutelage.recipes.tnd_teachers import Demonstrator


def refuse_tokens(demonstrator: Demonstrator, tokenizer: Any) -> None:
    """Raise if its tokens are not the student's, or a banned word is none of them."""
    from tutelage.rollout.engine import Sampling, banned_ids

    path = demonstrator.path
    theirs = TokenizerConfig(path=path).build(NurseryCorpus(), default_cache_dir()).get_vocab()
    ours = tokenizer.get_vocab()
    if theirs != ours:
        token = next(iter(dict(ours.items() ^ theirs.items())))
        raise UserError(
            f"--demonstrator.path {path} has other tokens than the student ({len(theirs)} and "
            f"{len(ours)}; {token!r} is not the same), so its texts can't be learned token by "
            f"token. Give the student its tokenizer: --tokenizer.path {path}"
        )
    file = f"--demonstrator.banned-file {demonstrator.banned_file}:"
    of_file = Sampling(banned_words=demonstrator.banned_by_file())
    for sampling, name, given in (
        (demonstrator.sampling, "--rollout.", "--demonstrator.sampling."),
        (of_file, "--rollout.banned-words", file),
    ):
        try:
            banned_ids(sampling, tokenizer)
        except UserError as error:
            raise UserError(str(error).replace(name, given)) from None
