"""One folder a task; importing this registers the pipelines of all."""

from hf_ext.tasks.base.pipeline_registration import register_pipelines

register_pipelines()
