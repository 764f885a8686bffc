// npm run package: builds what a deployment needs beyond the TypeScript program.
import { buildEnvironment, environmentArchive } from "./environment.ts";
import type { PythonArchive } from "./pythonArchive.ts";
import { buildWheels, wheelsArchive } from "./wheels.ts";

function build(archive: PythonArchive, builder: (file: string) => void): void {
  if (archive.built) {
    console.log(`${archive.name} is built`);
    return;
  }
  console.log(`${archive.name}: ${archive.what} …`);
  builder(archive.file);
  console.log(`${archive.name} is ready`);
}

build(wheelsArchive(), buildWheels);
build(environmentArchive(), (file) => buildEnvironment(file));
