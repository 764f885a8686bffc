#!/usr/bin/env node
// Prepares this machine, then runs the command given: node local/setup.mjs <command> [args…].
// Uses nothing but Node itself, because on a fresh machine nothing else is there yet. Each step leaves a stamp
// that names what it installed, so a finished step costs one file read and an interrupted one is resumed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { takeLock } from "./lock.mjs";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const setupDir = path.join(root, ".setup");
const venv = path.join(root, ".venv");
/** An empty database cluster of the PGlite that is installed; the first warehouse makes it. */
const cluster = path.join(setupDir, "cluster");
const venvBin = path.join(venv, "bin");

/** Jars that Spark needs beside pyspark, from Maven Central; sha256 of the published file. */
const jars = [
  {
    group: "org/apache/iceberg",
    artifact: "iceberg-spark-runtime-3.5_2.12",
    version: "1.10.0",
    sha256: "70f9471870b2d456167d703c829f098a446b86bb1379eee338c0efa03a341026",
  },
  {
    group: "com/mysql",
    artifact: "mysql-connector-j",
    version: "8.4.0",
    sha256: "d77962877d010777cff997015da90ee689f0f4bb76848340e1488f2b83332af5",
  },
];

class SetupError extends Error {}

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const fileHash = (file) => sha256(readFileSync(path.join(root, file)));
const say = (text) => process.stderr.write(`set-up: ${text}\n`);

function stamped(name, key) {
  const file = path.join(setupDir, name);
  return existsSync(file) && readFileSync(file, "utf8") === key;
}

function stamp(name, key) {
  mkdirSync(setupDir, { recursive: true });
  writeFileSync(path.join(setupDir, name), key);
}

/** Does the work while no other set-up of this folder does any: each would remove what the other is installing. */
async function alone(work) {
  mkdirSync(setupDir, { recursive: true });
  const lock = path.join(setupDir, "lock");
  for (let told; ; ) {
    const holder = takeLock(lock);
    if (holder === undefined) break;
    if (holder !== told) {
      told = holder;
      say(
        `waiting for process ${holder}, which is setting up this folder (if it is not, remove .setup/lock) …`,
      );
    }
    await delay(200);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Runs a command with its output shown; the message names what to do when it fails. */
function run(command, args, remedy) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.error || result.status !== 0) {
    const why = result.error?.message ?? `exit code ${result.status}`;
    throw new SetupError(`'${command} ${args.join(" ")}' failed (${why}). ${remedy}`);
  }
}

function versionOf(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8" });
  return result.error || result.status !== 0 ? undefined : `${result.stdout}${result.stderr}`.trim();
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(
      `Node.js ${process.versions.node} is too old: 20.19 or newer is needed. Get it from nodejs.org or with 'nvm install 20'.`,
    );
  }
}

function findPython() {
  const candidates = [process.env.PYTHON, "python3.11", "python3", "python"].filter(Boolean);
  const seen = [];
  for (const command of candidates) {
    const version = versionOf(command, ["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    if (version?.startsWith("3.11.")) return command;
    if (version) seen.push(`${command} is ${version}`);
  }
  const found = seen.length > 0 ? ` (found: ${seen.join(", ")})` : "";
  throw new SetupError(
    `Python 3.11 is needed${found}, the version that AWS Glue 5.1 runs. Get it with 'apt install python3.11 python3.11-venv', ` +
      "'brew install python@3.11' or 'pyenv install 3.11', or name it: PYTHON=/path/to/python3.11 npm start.",
  );
}

function javaMajor(java) {
  const match = versionOf(java, ["-version"])?.match(/version "(?:1\.)?(\d+)/);
  return match ? Number(match[1]) : undefined;
}

/** The JAVA_HOME of a Java 17, looked for in JAVA_HOME, on the PATH, and where systems install it. */
function findJavaHome() {
  const installed = [];
  for (const dir of ["/usr/lib/jvm", "/Library/Java/JavaVirtualMachines", "/opt/homebrew/opt/openjdk@17"]) {
    if (!existsSync(dir)) continue;
    for (const name of readdirSync(dir)) {
      installed.push(path.join(dir, name), path.join(dir, name, "Contents/Home"));
    }
  }
  const onPath = versionOf("java", ["-XshowSettings:properties", "-version"])?.match(
    /java\.home = (.+)/,
  )?.[1];
  const seen = [];
  for (const home of [process.env.JAVA_HOME, onPath?.trim(), ...installed]) {
    if (!home || !existsSync(path.join(home, "bin/java"))) continue;
    const major = javaMajor(path.join(home, "bin/java"));
    if (major === 17) return home;
    if (major) seen.push(String(major));
  }
  const found = seen.length > 0 ? ` (found: Java ${[...new Set(seen)].join(", ")})` : "";
  throw new SetupError(
    `Java 17 is needed${found}, the version that AWS Glue 5.1 runs. Get it with 'apt install openjdk-17-jre-headless', ` +
      "'brew install openjdk@17' or from adoptium.net, or set JAVA_HOME to it.",
  );
}

const nodeModulesKey = () => `${fileHash("package-lock.json")} ${process.versions.modules}`;
const hasNodeModules = () =>
  existsSync(path.join(root, "node_modules")) && stamped("node_modules", nodeModulesKey());

function installNodeModules() {
  if (hasNodeModules()) return;
  say("1/4 node modules (npm ci) …");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  run(
    npm,
    ["ci", "--ignore-scripts", "--no-fund", "--no-audit"],
    "Check the network and run the same command again.",
  );
  rmSync(cluster, { recursive: true, force: true });
  stamp("node_modules", nodeModulesKey());
}

const hasPython = () =>
  existsSync(path.join(venvBin, "python")) && stamped("python", fileHash("requirements.lock"));

function installPython() {
  if (hasPython()) return;
  const python = findPython();
  say("2/4 Python packages into .venv (pyspark is 300 MB; this takes a minute or two) …");
  const venvRemedy = "On Debian and Ubuntu: 'apt install python3.11-venv'. Then run the same command again.";
  run(python, ["-m", "venv", venv], venvRemedy);
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "on"];
  run(
    path.join(venvBin, "python"),
    [
      ...pip,
      "--require-hashes",
      "--only-binary",
      ":all:",
      "--no-binary",
      "pyspark",
      "-r",
      "requirements.lock",
    ],
    "Check the network and run the same command again.",
  );
  stamp("python", fileHash("requirements.lock"));
}

const jarFile = (jar) => path.join(setupDir, "jars", `${jar.artifact}-${jar.version}.jar`);

/** Downloads one jar, continuing a partial file, and refuses it when its hash is not the pinned one. */
async function download(jar) {
  const target = jarFile(jar);
  const name = path.basename(target);
  if (existsSync(target)) return;
  mkdirSync(path.dirname(target), { recursive: true });
  const part = `${target}.part`;
  const mirror = process.env.MAVEN_MIRROR ?? "https://repo1.maven.org/maven2";
  const url = `${mirror}/${jar.group}/${jar.artifact}/${jar.version}/${name}`;
  const have = existsSync(part) ? statSync(part).size : 0;
  say(`3/4 ${name}${have > 0 ? ` (continued at ${have} bytes)` : ""} …`);
  const remedy =
    "Check the network, or name a mirror: MAVEN_MIRROR=https://… ; then run the same command again.";
  let response;
  try {
    response = await fetch(url, have > 0 ? { headers: { range: `bytes=${have}-` } } : {});
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    if (response.status !== 206) rmSync(part, { force: true });
    for await (const chunk of response.body) appendFileSync(part, chunk);
  } catch (error) {
    throw new SetupError(
      `${url} could not be downloaded (${error.cause?.message ?? error.message}). ${remedy}`,
    );
  }
  const actual = sha256(readFileSync(part));
  if (actual !== jar.sha256) {
    rmSync(part);
    throw new SetupError(`${url} has sha256 ${actual}, expected ${jar.sha256}; it was deleted. ${remedy}`);
  }
  renameSync(part, target);
}

const classesKey = (javaHome) => {
  const release = readFileSync(path.join(javaHome, "release"), "utf8");
  return sha256([fileHash("requirements.lock"), ...jars.map((jar) => jar.sha256), release].join());
};
const hasClasses = (javaHome) => stamped("classes", classesKey(javaHome));

/**
 * Archives the classes that Spark loads in a small run of the pipeline (Java's class data sharing), so that later runs
 * need not read, check and link twenty thousand classes again. Nothing depends on it but time, so a failure is said and
 * left at that; Java itself ignores an archive that does not fit.
 */
function archiveClasses(env) {
  if (hasClasses(env.JAVA_HOME)) return;
  say("4/4 archive of Spark's classes from a small run of the pipeline (a minute, once) …");
  const out = path.join(setupDir, "small-run");
  const part = `${env.SECURECART_CLASS_ARCHIVE}.part`;
  rmSync(out, { recursive: true, force: true });
  const { status, signal, stderr } = spawnSync(
    "tsx",
    ["local/cli.ts", "start", "--out", out, "--scale", "0.1"],
    { cwd: root, env: { ...env, SECURECART_ARCHIVE_CLASSES: part }, encoding: "utf8" },
  );
  if (signal) process.exit(128 + constants.signals[signal]);
  rmSync(out, { recursive: true, force: true });
  if (status === 0 && existsSync(part)) renameSync(part, env.SECURECART_CLASS_ARCHIVE);
  else say(`no archive could be made; Spark starts slower without one:\n${stderr ?? ""}`);
  stamp("classes", classesKey(env.JAVA_HOME));
}

/** The JAVA_HOME that was found before, while it is still there. */
function knownJavaHome() {
  const file = path.join(setupDir, "java");
  const home = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  return home && existsSync(path.join(home, "bin/java")) ? home : undefined;
}

/** The environment that commands run in. */
function environmentOf(javaHome) {
  const bins = [path.join(root, "node_modules/.bin"), venvBin, path.join(javaHome, "bin")];
  // Java takes the archive of classes only with the very class path that it was made with, so links are resolved.
  const real = realpathSync(setupDir);
  return {
    ...process.env,
    JAVA_HOME: javaHome,
    VIRTUAL_ENV: venv,
    PATH: [...bins, process.env.PATH].join(path.delimiter),
    SPARK_HOME: realpathSync(path.join(venv, "lib/python3.11/site-packages/pyspark")),
    SECURECART_JARS: jars.map((jar) => path.join(real, path.relative(setupDir, jarFile(jar)))).join(","),
    SECURECART_CLUSTER_TEMPLATE: cluster,
    SECURECART_CLASS_ARCHIVE: path.join(real, "spark.jsa"),
    PYTHONPATH: path.join(root, "jobs"),
    // Node 20 is supported here until the SDK needs more; its warning on every run helps nobody.
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    PYSPARK_PYTHON: path.join(venvBin, "python"),
  };
}

/** Does what is missing. */
async function install() {
  const javaHome = knownJavaHome() ?? findJavaHome();
  stamp("java", javaHome);
  installNodeModules();
  installPython();
  for (const jar of jars) await download(jar);
  archiveClasses(environmentOf(javaHome));
  return javaHome;
}

/** Makes sure that everything is set up, which mostly is a few reads, and returns the environment for commands. */
async function ensureSetup() {
  checkNode();
  const javaHome = knownJavaHome();
  const isReady =
    javaHome !== undefined &&
    hasNodeModules() &&
    hasPython() &&
    jars.every((jar) => existsSync(jarFile(jar))) &&
    hasClasses(javaHome);
  return environmentOf(isReady ? javaHome : await alone(install));
}

async function main() {
  const [command, ...args] = process.argv.slice(2);
  if (!command) throw new SetupError("usage: node local/setup.mjs <command> [args…]");
  const env = await ensureSetup();
  const child = spawn(command, args, { cwd: root, env, stdio: "inherit" });
  // Ctrl-C reaches the child too (same process group); it decides how to end, this process only waits.
  for (const signal of ["SIGINT", "SIGTERM"])
    process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
  child.on("error", (error) => {
    console.error(`set-up: ${command} could not be started: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1));
  });
}

main().catch((error) => {
  if (!(error instanceof SetupError)) throw error;
  console.error(`set-up failed: ${error.message}`);
  process.exit(1);
});
