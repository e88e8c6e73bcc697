"""Complete training programs: configuration, presets, build and run."""

from tutelage.config import Entry

RECIPES = {
    "pretrain": Entry(
        "tutelage.recipes.pretrain:Pretrain",
        "Train a student on a corpus, from scratch or from a checkpoint.",
    ),
    "sft": Entry(
        "tutelage.recipes.sft:Sft",
        "Train a student to complete prompts as demonstrated.",
    ),
    "irl": Entry(
        "tutelage.recipes.irl:Irl",
        "The same by inverse reinforcement learning.",
    ),
    "reward": Entry(
        "tutelage.recipes.reward:Reward",
        "Train a reward model on preferences or ages.",
    ),
    "ppo": Entry(
        "tutelage.recipes.ppo:Ppo",
        "Train a student on its own samples and any reward.",
    ),
    "tnd": Entry(
        "tutelage.recipes.tnd_presets:Tnd",
        "Train a student by trials and demonstrations, with a teacher.",
    ),
}
