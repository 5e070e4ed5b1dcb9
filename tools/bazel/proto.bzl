"""C++ code from .proto files, by the distribution's protoc and gRPC plugin."""

load("@rules_cc//cc:defs.bzl", "cc_library")

def cc_proto_library(name, srcs, strip = "proto", imports = [], deps = [], grpc = False, **kwargs):
    """A cc_library of the messages, and with grpc = True of the services, in `srcs`.

    Include paths and imports start below the directory `strip` ("interpd/v1/value.pb.h").

    Args:
      name: the library.
      srcs: .proto files of this package.
      strip: the directory that is the root of proto imports.
      imports: labels of .proto files that `srcs` import from other packages.
      deps: cc_proto_library targets of those.
      grpc: whether to generate service stubs too.
      **kwargs: passed to cc_library.
    """
    headers = []
    sources = []
    out = "--cpp_out=$(BINDIR)/" + strip
    suffixes = [".pb"]
    if grpc:
        out += " --grpc_out=$(BINDIR)/%s --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin" % strip
        suffixes.append(".grpc.pb")
    for src in srcs:
        for suffix in suffixes:
            headers.append(src.removesuffix(".proto") + suffix + ".h")
            sources.append(src.removesuffix(".proto") + suffix + ".cc")
    native.genrule(
        name = name + "_generated",
        srcs = srcs + imports,
        outs = headers + sources,
        cmd = "protoc --proto_path=%s %s %s" % (strip, out, " ".join(["$(location %s)" % src for src in srcs])),
        message = "Generating code from",
        visibility = ["//visibility:private"],
    )
    cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        strip_include_prefix = "/" + strip,
        deps = deps + ["@system//:grpc" if grpc else "@system//:protobuf"],
        **kwargs
    )
