"""One folder a task; importing this registers the pipelines of all, and has Auto classes know their heads."""

from importlib.util import find_spec

if find_spec("torch") is not None:
    from hf_ext.tasks.base.head_guard import guard_auto_classes
    from hf_ext.tasks.base.pipeline_registration import register_pipelines

    register_pipelines()
    guard_auto_classes()
