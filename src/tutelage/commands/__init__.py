"""Commands that are not recipes; those of a group have a name of two words."""

from tutelage.config import Entry

COMMANDS = {
    "generate": Entry("tutelage.commands.generate:Generate", "Write text with a checkpoint."),
    "eval": Entry("tutelage.commands.eval:Eval", "Measure a checkpoint, or all of a run."),
    "data words": Entry(
        "tutelage.commands.data_words:DataWords", "Find words in a corpus, with their contexts."
    ),
    "data age": Entry(
        "tutelage.commands.data_age:DataAge", "Let checkpoints write, for an age model to learn."
    ),
    "data build": Entry(
        "tutelage.commands.data_build:DataBuild", "Prepare prompts with completions, for the hub."
    ),
    "report": Entry("tutelage.commands.report:Report", "Make one page of curves from run folders."),
    "demo": Entry("tutelage.commands.demo:Demo", "Raise a tiny student in a minute, no download."),
    "launch": Entry("tutelage.commands.launch:Launch", "Run a recipe on several processes."),
    "doctor": Entry(
        "tutelage.commands.doctor:Doctor", "Examine this machine, or a student and its reward."
    ),
}
