"""Holds ONNX files against the specification with the `onnx` package.

    python tools/golden/check_onnx.py DIRECTORY

Every `*.onnx` file is parsed, checked and shape-inferred strictly (`full_check`), and the shapes and element types inferred for the
graph's outputs are compared with those it declares. Prints one line per file that fails and a count; exits with 1 if any did.

Files named `*.fused.onnx` may use operators that only ONNX Runtime registers: those of the `com.microsoft` domain, which the checker
passes over, and `SimplifiedLayerNormalization`, which ONNX Runtime keeps in the standard domain although the standard does not
know it. In such a file those nodes are moved to a domain of their own before the check, and shapes are not inferred beyond them.
"""

import pathlib
import sys

import onnx
from onnx import checker, helper, shape_inference

RUNTIME_ONLY = {"SimplifiedLayerNormalization"}


def main(directory: str) -> int:
    files = sorted(pathlib.Path(directory).glob("*.onnx"))
    if not files:
        print(f"{directory}: expected .onnx files, got none", file=sys.stderr)
        return 1
    failures = 0
    for file in files:
        try:
            check(file)
        except Exception as error:  # noqa: BLE001 - whatever the checker raises is the finding
            failures += 1
            print(f"{file.name}: {' '.join(str(error).split())}")
    print(f"{len(files) - failures} of {len(files)} files pass onnx {onnx.__version__}")
    return 1 if failures else 0


def check(file: pathlib.Path) -> None:
    model = onnx.load(file)
    if file.name.endswith(".fused.onnx"):
        check_fused(model)
        return
    domains = {node.domain for node in model.graph.node}
    if domains - {""}:
        raise ValueError(f"expected standard operators only, got domains {sorted(domains)}")
    checker.check_model(model, full_check=True)
    compare_outputs(model)


def check_fused(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type in RUNTIME_ONLY:
            node.domain = "runtime"
    if any(node.domain == "runtime" for node in model.graph.node):
        model.opset_import.append(helper.make_opsetid("runtime", 1))
    checker.check_model(model)


def compare_outputs(model: onnx.ModelProto) -> None:
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    for declared, found in zip(model.graph.output, inferred.graph.output):
        expected, actual = dims(declared), dims(found)
        if not found.type.tensor_type.HasField("shape"):
            continue  # inference could not tell, as for a reshape to a computed size
        agree = len(expected) == len(actual) and all(
            a == b for a, b in zip(expected, actual) if isinstance(a, int) and isinstance(b, int)
        )
        if not agree:
            raise ValueError(f"output {declared.name}: declared {expected}, inferred {actual}")


def dims(value: onnx.ValueInfoProto) -> list[int | str | None]:
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_onnx.py DIRECTORY")
    sys.exit(main(sys.argv[1]))
