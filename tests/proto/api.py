"""The public API as lines of text, and which changes of it break clients.

Each line is one fact, such as "interpd.v1.Value.int = 3 TYPE_SINT64 in kind". A line may be added; a line that goes or
changes breaks somebody. Comments, the order of declarations and the files they stand in are no part of it.
"""

import pathlib
import subprocess
import tempfile

from google.protobuf import descriptor_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto


def describe(proto_root: pathlib.Path) -> list[str]:
    """The lines of every .proto file below `proto_root`/interpd."""
    files = sorted(str(path.relative_to(proto_root)) for path in proto_root.glob("interpd/**/*.proto"))
    if not files:
        raise FileNotFoundError(f"no .proto files below {proto_root}/interpd")
    with tempfile.NamedTemporaryFile() as output:
        command = ["protoc", f"--proto_path={proto_root}", f"--descriptor_set_out={output.name}", *files]
        subprocess.run(command, check=True)
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(output.name).read_bytes())
    lines = []
    for file in descriptors.file:
        for message in file.message_type:
            lines += _message(file.package, message)
        for enum in file.enum_type:
            lines += _enum(file.package, enum)
        for service in file.service:
            for method in service.method:
                lines.append(
                    f"rpc {file.package}.{service.name}.{method.name}"
                    f"({'stream ' * method.client_streaming}{method.input_type.lstrip('.')})"
                    f" returns ({'stream ' * method.server_streaming}{method.output_type.lstrip('.')})"
                )
    return sorted(lines)


def _message(scope: str, message: descriptor_pb2.DescriptorProto) -> list[str]:
    name = f"{scope}.{message.name}"
    lines = [f"message {name}"]
    for field in message.field:
        kind = field.type_name.lstrip(".") or _FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()
        repeated = "repeated " if field.label == _FIELD.LABEL_REPEATED else ""
        oneof = f" in {message.oneof_decl[field.oneof_index].name}" if field.HasField("oneof_index") else ""
        lines.append(f"field {name}.{field.name} = {field.number} {repeated}{kind}{oneof}")
    for reserved in message.reserved_range:
        lines += [f"reserved {name} {number}" for number in range(reserved.start, reserved.end)]
    for nested in message.nested_type:
        lines += _message(name, nested)
    for enum in message.enum_type:
        lines += _enum(name, enum)
    return lines


def _enum(scope: str, enum: descriptor_pb2.EnumDescriptorProto) -> list[str]:
    name = f"{scope}.{enum.name}"
    return [f"enum {name}"] + [f"value {name}.{value.name} = {value.number}" for value in enum.value]


def breaking_changes(before: list[str], after: list[str]) -> list[str]:
    """What of `before` clients rely on and `after` no longer has."""
    return sorted(set(before) - set(after))
