"""Compiles RecordingFileSystem.java with the compiler that Spark brings along (Janino): no JDK is needed.

Usage: compile.py <folder for the class file>
"""

import sys
from pathlib import Path

import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway  # type: ignore[import-untyped]

jars = Path(pyspark.__file__).parent / "jars"
port = launch_gateway(classpath=f"{jars}/*", jarpath=str(next(jars.glob("py4j-*.jar"))), die_on_exit=True)
gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
compiler.cook(Path(__file__).with_name("RecordingFileSystem.java").read_text("utf-8"))
classes = compiler.getBytecodes()
for name in classes:
    target = Path(sys.argv[1]) / f"{name.replace('.', '/')}.class"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bytes(classes[name]))
gateway.shutdown()
