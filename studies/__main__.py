"""``python -m studies``: make the runs that are missing, draw the plots, and print the tables."""

import argparse
import logging
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import torch
import transformers

from studies import (
    adversarial,
    closed_form,
    cloze,
    crf_learning_rate,
    deep_networks,
    embedding_size,
    enlargement,
    entities,
    equal_inputs,
    exact_loss,
    image_positions,
    label_imbalance,
    latent_collapse,
    latent_prior,
    latent_swaps,
    layer_times,
    length_at_test,
    length_in_training,
    linear_attention,
    log_n,
    r_drop_entities,
    random_positions,
    regularisers,
    rotary_bases,
    sentence_vectors,
    t_ta,
    theseus,
    token_mixers,
    unargmaxable_rows,
    virtual_adversarial,
)
from studies.drawing import save_figure
from studies.sources import Sources
from studies.study import Experiment, Results, run_experiment

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS: dict[str, tuple[Experiment, str]] = {
    experiment.name: (experiment, title)
    for experiment, title in (
        (exact_loss.POINTS, "Three points, one parameter: where each loss leads"),
        (exact_loss.EXPERIMENT, "EXACT, cross-entropy and hinge loss"),
        (crf_learning_rate.EXPERIMENT, "CRF: the learning rate of the transitions (Resume)"),
        (label_imbalance.EXPERIMENT, "Losses for any number of classes"),
        (entities.FLAT, "GlobalPointer and tags: flat entities"),
        (entities.LONGER, "Flat entities, three times the training"),
        (entities.PRETRAINED, "GlobalPointer and tags on a pre-trained encoder"),
        (entities.NESTED, "GlobalPointer and tags: nested entities"),
        (latent_swaps.EXPERIMENT, "UniVAE: what each latent holds"),
        (latent_collapse.EXPERIMENT, "UniVAE: which posteriors collapse"),
        (latent_prior.EXPERIMENT, "UniVAE: what the prior decodes to"),
        (equal_inputs.EXPERIMENT, "Where does each of equal tokens stand?"),
        (token_mixers.EXPERIMENT, "Encoders without attention: pre-training and transfer"),
        (linear_attention.EXPERIMENT, "Kernels of linear attention beside softmax"),
        (length_at_test.EXPERIMENT, "A trained model that reads longer texts"),
        (length_in_training.EXPERIMENT, "A model trained to read longer texts"),
        (log_n.EXPERIMENT, "Log n: masked characters in texts longer than in training"),
        (random_positions.EXPERIMENT, "Random positions: tasks longer than in training"),
        (t_ta.TIME, "A pseudo-log-likelihood: T-TA and a masked model of equal size"),
        (t_ta.LEARNING, "T-TA and a masked model of equal size, by step and by second"),
        (t_ta.LEAK, "T-TA that sees what it is to predict"),
        (image_positions.DIGITS, "Digits on larger canvases: positions of patches"),
        (image_positions.MARKS, "Where is A, seen from B? Positions of patches"),
        (rotary_bases.EXPERIMENT, "Masked characters: bases of the rotation"),
        (enlargement.EXPERIMENT, "A small model that is enlarged, beside a large one, at one price"),
        (deep_networks.EXPERIMENT, "Deep narrow networks: norms, and how branches begin"),
        (closed_form.CLASSIFIER, "A classifier in closed form, beside trained ones"),
        (closed_form.START, "Fine-tuning from a head in closed form"),
        (unargmaxable_rows.EXPERIMENT, "Words that can never be the likeliest"),
        (embedding_size.EXPERIMENT, "How many numbers the vectors of words need"),
        (layer_times.EXPERIMENT, "Where the time of a layer bends"),
        (adversarial.EXPERIMENT, "Embeddings moved to where the loss is worse"),
        (virtual_adversarial.EXPERIMENT, "Virtual adversarial training with few labels"),
        (theseus.EXPERIMENT, "BERT-of-Theseus: titles classified by fewer layers"),
        (sentence_vectors.EXPERIMENT, "Vectors of sentences without labels"),
        (cloze.EXPERIMENT, "Few labels: words in a cloze beside a linear head"),
        (regularisers.WEISSI, "Digits: WEISSI beside L2"),
        (regularisers.ORTHOGONALITY, "Digits: penalties of angles"),
        (r_drop_entities.EXPERIMENT, "GlobalPointer from few texts: R-Drop and VAT"),
    )
}


def main(words: list[str] | None = None) -> None:
    """Run the command line ``words``, that of the process by default."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("--only", choices=EXPERIMENTS, action="append", help="this experiment; may be given again")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each setting (3)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    parser.add_argument("--quick", action="store_true", help="two steps on generated sentences; needs --results")
    parser.add_argument("--fresh", action="store_true", help="begin the results of these experiments anew")
    parser.add_argument("--plots", action="store_true", help="only draw the plots and print the tables")
    parser.add_argument("--results", type=Path, help="folder of the CSV files (studies/results)")
    parser.add_argument("--images", type=Path, help="folder of the plots (docs/images, or that of --results)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (1)")
    given = parser.parse_args(words)
    if given.quick and given.results is None:
        parser.error("--quick needs --results, as its numbers mean nothing")
    if not (given.quick or given.plots or given.data.is_dir()):
        parser.error(f"--data must be a folder, got {given.data}")
    torch.set_num_threads(given.threads)
    folder = given.results or ROOT / "studies" / "results"
    images = given.images or given.results or ROOT / "docs" / "images"
    for name in given.only or EXPERIMENTS:
        experiment, title = EXPERIMENTS[name]
        experiment = experiment.quick() if given.quick else experiment
        results = Results(experiment, folder)
        if not given.plots:
            if given.fresh:
                results.path.unlink(missing_ok=True)
            with tempfile.TemporaryDirectory() as temporary:
                sources = Sources(Path(temporary), None if given.quick else given.data)
                run_experiment(experiment, sources, results, range(given.seeds))
        if results.rows:
            report(experiment, title, results, images)


def report(experiment: Experiment, title: str, results: Results, images: Path) -> None:
    """Draw the plot of an experiment, and print its table."""
    path = images / f"study_{experiment.name}.png"
    save_figure(lambda figure: experiment.draw(figure, results), path, title)
    print(f"\n{title}\n\n{results.table()}\n")


def quiet() -> None:
    """Leave the terminal to our own progress. New heads, and entities that one cannot hold, are no surprise."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    for name in ("hf_ext", "transformers.modeling_utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    quiet()
    main()
