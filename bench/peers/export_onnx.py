"""Makes a model of random weights twice: safetensors for us, ONNX for transformers.js.

`python export_onnx.py NAME OUT SHARED`: NAME is `gpt2` (12 x 768, vocabulary 50257) or `bert` (12 x 768, vocabulary 30522), OUT the
directory, which gets the layout the hub has: config.json, model.safetensors, tokenizer.json (from SHARED/tok-gpt2), onnx/model.onnx.

Exported by optimum, as most of the hub's own exports were, then fused by ONNX Runtime's optimizer for transformers. Versions:
requirements-onnx.txt.
"""

import shutil
import sys
from pathlib import Path

import torch
from onnx import TensorProto, helper
from onnxruntime.transformers.optimizer import optimize_model
from optimum.exporters.onnx import main_export
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

TASKS = {"gpt2": "text-generation-with-past", "bert": "feature-extraction"}


def main():
    name, out, shared = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    partial = out.with_name(out.name + ".tmp")
    torch.manual_seed(0)
    save(build(name), partial)
    exported = partial / "export"
    main_export(str(partial), exported, task=TASKS[name], do_validation=False)
    (partial / "onnx").mkdir()
    model = optimize_model(str(exported / "model.onnx"), model_type=name, num_heads=12, hidden_size=768, opt_level=0)
    model.save_model_to_file(str(partial / "onnx/model.onnx"))
    shutil.rmtree(exported)
    if name == "gpt2":
        keep_last(model.model)
        model.save_model_to_file(str(partial / "onnx/model_last.onnx"))
        shutil.copyfile(shared / "tok-gpt2/tokenizer.json", partial / "tokenizer.json")
    partial.rename(out)


def keep_last(model):
    """Scores of the last tokens only, as many as the input `num_logits_to_keep` says (0: all): transformers.js asks for one."""
    graph = model.graph
    head = next(node for node in graph.node if "logits" in node.output)
    int64s = lambda name, values: graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
    int64s("keep_one", [1])
    int64s("keep_end", [2**62])
    cut = [
        helper.make_node("Neg", ["num_logits_to_keep"], ["keep_negative"]),
        helper.make_node("Reshape", ["keep_negative", "keep_one"], ["keep_start"]),
        helper.make_node("Slice", [head.input[0], "keep_start", "keep_end", "keep_one"], ["kept"]),
    ]
    at = list(graph.node).index(head)
    for i, node in enumerate(cut):
        graph.node.insert(at + i, node)
    head.input[0] = "kept"
    graph.input.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, []))


def build(name):
    if name == "bert":
        return BertModel(BertConfig(), add_pooling_layer=False)
    return GPT2LMHeadModel(GPT2Config())


def save(model, directory):
    # Fresh biases are zero and norms one: neither would be missed if it were left out.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.02 * torch.randn_like(parameter))
    model.eval().save_pretrained(directory)


if __name__ == "__main__":
    main()
