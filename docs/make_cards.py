"""Writes the model cards of trained tasks, from the templates that a run makes its own card from.

A file of ``model_cards/templates`` extends the template of a task, and adds what is known of such models in general.

python docs/make_cards.py
"""

from pathlib import Path

from hf_ext.training.model_card.render import render_template

CARDS = Path(__file__).resolve().parents[1] / "model_cards"
TEMPLATES = CARDS / "templates"


def cards() -> dict[Path, str]:
    """The text of each card by its file."""
    return {
        CARDS / file.name.removesuffix(".jinja"): render_template(file, run=None, name="model")
        for file in sorted(TEMPLATES.glob("*.md.jinja"))
    }


if __name__ == "__main__":
    for path, text in cards().items():
        path.write_text(text, encoding="utf-8")
