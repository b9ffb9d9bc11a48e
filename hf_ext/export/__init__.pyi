from .onnx_export import OnnxExport as OnnxExport, export_onnx as export_onnx
from .onnx_pipeline import OnnxPipeline as OnnxPipeline
