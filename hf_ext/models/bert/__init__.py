"""BERT and WoBERT: the models are Transformers' own; here is how their original releases convert."""
