"""Modules that models and heads share."""
