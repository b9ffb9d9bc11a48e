"""Image classification in Python: a vision transformer with rotary positions, and larger images at test.

    python examples/image_classification.py --train-folder train --validation-folder dev

A folder has a folder of images for each class. Without one it trains on a few drawn bars, upright or lying.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from transformers import (
    AutoImageProcessor,
    Trainer,
    TrainingArguments,
    ViTImageProcessor,
    default_data_collator,
    pipeline,
    set_seed,
)

import hf_ext
from hf_ext.metrics import classification_compute_metrics
from hf_ext.tasks.image_classification import ImageDataset, read_labelled_images

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-folder", type=Path)
parser.add_argument("--validation-folder", type=Path)
parser.add_argument("--output-dir", default="image-model")
parser.add_argument("--max-steps", type=int, default=100)
arguments = parser.parse_args()
set_seed(0)


def draw_bars(folder: Path, count: int, seed: int) -> Path:
    """Images of 32 x 32 with a bar."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        at = int(rng.integers(0, 26))
        name = ("lying", "upright")[number % 2]
        pixels[(slice(None), slice(at, at + 6)) if name == "upright" else (slice(at, at + 6), slice(None))] += 150
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


with TemporaryDirectory() as drawn:
    folders = [
        arguments.train_folder or draw_bars(Path(drawn, "train"), 64, seed=1),
        arguments.validation_folder or arguments.train_folder or draw_bars(Path(drawn, "dev"), 32, seed=2),
    ]
    train, validation = map(read_labelled_images, folders)
    names = sorted({one["label"] for one in train})
    label2id = {name: number for number, name in enumerate(names)}

    # Mixed: each pair of numbers turns in a direction that is learnt, which holds best on larger images.
    config = hf_ext.RoPEViTConfig(
        image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
        layer_scale_init_value=1.0, rope_kind="mixed", label2id=label2id, id2label=dict(enumerate(names)),
    )  # fmt: skip
    model = hf_ext.RoPEViTForImageClassification(config)
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            arguments.output_dir,
            max_steps=arguments.max_steps,
            learning_rate=1e-3,
            per_device_train_batch_size=16,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=ImageDataset(train, processor, label2id, mirror=True),
        eval_dataset=ImageDataset(validation, processor, label2id),
        data_collator=default_data_collator,
        compute_metrics=classification_compute_metrics(config.id2label, multi_label=False),
        processing_class=processor,
    )
    trainer.train()
    trainer.save_model()
    for side in (32, 48):
        larger = AutoImageProcessor.from_pretrained(arguments.output_dir, size={"height": side, "width": side})
        scores = trainer.evaluate(ImageDataset(validation, larger, label2id))
        print(f"{side} x {side}: accuracy {scores['eval_accuracy']:.3f}")

    classify = pipeline("image-classification", model=arguments.output_dir)
    for one in validation[:2]:
        print(Path(one["image"]).name, "->", classify(one["image"])[0]["label"])
