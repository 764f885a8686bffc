import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type BuildOptions, build, buildSync, type OutputFile } from "esbuild";
import { type Entry, zip } from "./zip.ts";

/** The repository's root. */
export const root = path.resolve(import.meta.dirname, "../..");

/** Where what is built lies: `.local/build`, or the folder that SECURECART_BUILD_DIR names. */
export const built = process.env.SECURECART_BUILD_DIR ?? path.join(root, ".local/build");

/** A built file with a name that its content decides. */
export interface Artifact {
  /** Hexadecimal SHA-256 of the content. */
  readonly sha256: string;
  /** Where it lies on this machine. */
  readonly file: string;
}

export const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

/** Writes content under the name that it decides; a file that is there is complete, since it is moved into place. */
function keep(name: string, extension: string, data: Buffer): Artifact {
  const hash = sha256(data);
  const file = path.join(built, `${name}-${hash.slice(0, 16)}${extension}`);
  if (!existsSync(file)) {
    mkdirSync(built, { recursive: true });
    const part = `${file}.${process.pid}`;
    writeFileSync(part, data);
    renameSync(part, file);
  }
  return { sha256: hash, file };
}

function filesUnder(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .toSorted();
}

/** A Python package as the zip that Spark puts on the workers' path; sources only, tests and caches left out. */
export function packagePython(packageDir: string): Artifact {
  const parent = path.dirname(packageDir);
  const entries = filesUnder(packageDir)
    .filter((file) => /\.(py|json|typed)$/.test(file) && !file.includes("__pycache__"))
    .map((file) => ({
      path: path.relative(parent, file).split(path.sep).join("/"),
      data: readFileSync(file),
    }));
  if (entries.length === 0) throw new Error(`${packageDir} holds no Python source to package`);
  return keep(path.basename(packageDir), ".zip", zip(entries));
}

/**
 * Declares what parquetjs-lite's generated Thrift types assign to without declaring it: an ES module, which is strict,
 * would end with a ReferenceError when it is loaded.
 */
function undeclared(): string {
  const types = path.join(root, "node_modules/parquetjs-lite/gen-nodejs/parquet_types.js");
  const names = [...readFileSync(types, "utf8").matchAll(/^(?:var )?(\w+) = module\.exports\.\w+ = /gm)].map(
    ([, name]) => name,
  );
  return [...new Set(names)].map((name) => ` globalThis.${name} = undefined;`).join("");
}

/** What goes into the bundle of one Lambda function. */
export interface BundleSpec {
  /** The handler's file, absolute. */
  readonly entry: string;
  /** Files that the handler reads: path in the bundle → path on this machine. */
  readonly files?: Readonly<Record<string, string>>;
}

const bundles = new Map<string, Readonly<Record<string, Artifact>>>();
/** Bundled code by the handler's file. */
const code = new Map<string, Uint8Array>();

/** What esbuild is asked for; one run for all, since what they share is then read and parsed once. */
const requestFor = (entries: readonly string[]) =>
  ({
    entryPoints: entries.map((entry) => ({ in: entry, out: outputOf(entry) })),
    absWorkingDir: root,
    outdir: built,
    bundle: true,
    write: false,
    platform: "node",
    target: "node22",
    format: "esm",
    external: ["@aws-sdk/*"],
    minify: true,
    keepNames: true,
    legalComments: "none",
    logLevel: "silent",
    // CommonJS packages inside an ES module look for Node's own modules through require.
    banner: {
      js: `import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);${undeclared()}`,
    },
  }) as const satisfies BuildOptions;

/** Name of an entry's output. The bundle's bytes do not depend on it. */
const outputOf = (entry: string): string => sha256(entry);

function remember(entries: readonly string[], outputs: readonly OutputFile[]): void {
  const byName = new Map(outputs.map(({ path: file, contents }) => [path.basename(file, ".js"), contents]));
  for (const entry of entries) {
    const bundled = byName.get(outputOf(entry));
    if (!bundled) throw new Error(`${entry} gave no bundle`);
    code.set(entry, bundled);
  }
}

/**
 * Bundles every handler of the repository in a process of its own, while the program's modules are still being read:
 * what `bundleFunctions` needs is then there already.
 *
 * @throws Error when a handler does not build
 */
export async function bundleAhead(): Promise<void> {
  const entries = ["functions", "infra/deployment"]
    .flatMap((dir) =>
      readdirSync(path.join(root, dir)).map((name) => path.join(root, dir, name, "handler.ts")),
    )
    .filter((file) => existsSync(file));
  const { outputFiles } = await build(requestFor(entries));
  remember(entries, outputFiles);
}

/**
 * Lambda functions as zips, by name: the handler and what it imports in one file, beside it the files it reads.
 * The AWS SDK is left out, since every Node.js runtime of Lambda brings it.
 *
 * @throws Error when a handler does not build
 */
export function bundleFunctions(
  specs: Readonly<Record<string, BundleSpec>>,
): Readonly<Record<string, Artifact>> {
  const names = Object.keys(specs).toSorted();
  const request = JSON.stringify(names.map((name) => [name, specs[name]]));
  const known = bundles.get(request);
  if (known) return known;
  const left = [...new Set(Object.values(specs).map(({ entry }) => entry))].filter(
    (entry) => !code.has(entry),
  );
  if (left.length > 0) remember(left, buildSync(requestFor(left)).outputFiles);
  const artifacts = Object.fromEntries(
    Object.entries(specs)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { entry, files }]) => {
        const bundled = code.get(entry);
        if (!bundled) throw new Error(`${entry} gave no bundle`);
        const entries: Entry[] = [{ path: "index.mjs", data: Buffer.from(bundled) }];
        for (const [inside, file] of Object.entries(files ?? {})) {
          entries.push({ path: inside, data: readFileSync(file) });
        }
        return [name, keep(name, ".zip", zip(entries))];
      }),
  );
  bundles.set(request, artifacts);
  return artifacts;
}

/** A file of the repository or of a package, as it is. */
export function fileArtifact(file: string): Artifact {
  return { sha256: sha256(readFileSync(file)), file };
}

/** The IP-to-country database that `npm ci` brings. */
export function geoDatabase(): Artifact {
  return fileArtifact(
    path.join(root, "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"),
  );
}
