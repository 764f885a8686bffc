import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import ts from "typescript";
import { root } from "./package/artifacts.ts";

interface Example {
  /** `file:line` of the comment's first line of code. */
  readonly at: string;
  readonly code: string;
}

const folders = ["infra/pipeline", "infra/lib"];
const sources = folders.flatMap((folder) =>
  readdirSync(path.join(root, folder))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => `${folder}/${file}`),
);

/** The code of every `@example` in a file's comments. */
function examplesOf(file: string): Example[] {
  const text = readFileSync(path.join(root, file), "utf8");
  return [...text.matchAll(/\/\*\*.*?\*\//gs)].flatMap((comment) =>
    comment[0]
      .split(/^ \* @example\n/m)
      .slice(1)
      .map((block) => ({
        at: `${file}:${text.slice(0, comment.index).split("\n").length}`,
        code: block
          .split("\n")
          .map((line) => line.replace(/^ \*[/ ]?/, ""))
          .join("\n"),
      })),
  );
}

/** Every exported name of the folders, and what an example may take as given: the parts of a pipeline by their names. */
function prelude(): string {
  const imports = sources.map((file, index) => `import * as module${index} from "${path.join(root, file)}";`);
  const classes = sources.flatMap((file, index) =>
    [...readFileSync(path.join(root, file), "utf8").matchAll(/^export (?:class|function) (\w+)/gm)].map(
      ([, name]) => `import ${name} = module${index}.${name};`,
    ),
  );
  const given = {
    place: "import('../lib/place.ts').Place",
    contracts: "import('../../contracts/contract.ts').Contract[]",
    contractsJson: "string",
    stepsJson: "string",
    geoDatabase: "import('../package/artifacts.ts').Artifact",
    bundle: "import('../package/artifacts.ts').Artifact",
    wheels: "import('./batch.ts').BatchArgs['wheels']",
    environment: "import('../package/pythonArchive.ts').PythonAsset",
    keys: "Record<'dataKeyArn' | 'logsKeyArn' | 'secretsKeyArn', pulumi.Output<string>>",
    failures: "aws.sqs.Queue",
    placement: "import('../lib/grants.ts').Placement",
    functionDefaults: "import('../lib/private-function.ts').FunctionDefaults",
    watched: "import('./monitoring.ts').Watched",
    functionArns: "import('./workflow.ts').WorkflowArgs['functionArns']",
    jobNames: "import('./workflow.ts').WorkflowArgs['jobNames']",
    lake: "Lake",
    network: "Network",
    catalog: "Catalog",
    sources: "Sources",
    ledger: "Ledger",
    batch: "Batch",
    warehouse: "Warehouse",
    boundary: "import('./access.ts').Boundary",
  };
  const declarations = Object.entries(given).map(
    ([name, type]) =>
      `declare const ${name}: ${type.replace(/^([A-Z]\w+)$/, (own) => `import('./${own.toLowerCase()}.ts').${own}`)};`,
  );
  return [
    'import * as aws from "@pulumi/aws";',
    'import * as pulumi from "@pulumi/pulumi";',
    ...imports,
    ...classes,
    ...declarations,
    "",
  ].join("\n");
}

describe("examples in the components' comments", function () {
  this.timeout(120_000);
  const examples = sources.flatMap(examplesOf);

  it("stand at every component", () => {
    const without = sources.filter(
      (file) =>
        /^export class \w+ extends pulumi\.ComponentResource/m.test(
          readFileSync(path.join(root, file), "utf8"),
        ) && examplesOf(file).length === 0,
    );
    expect(without).to.deep.equal([]);
  });

  it("compile", () => {
    expect(examples.length).to.be.greaterThan(15);
    // What an example declares hides what is given under that name: both in one scope would clash.
    const texts = new Map(
      examples.map(({ code }, index) => [
        path.join(root, `infra/pipeline/example-${index}.ts`),
        `${prelude()}{\n${code.replaceAll(/^export const/gm, "const")}\n}\n`,
      ]),
    );
    const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const compilerOptions = { ...options, verbatimModuleSyntax: false, erasableSyntaxOnly: false };
    const host = ts.createCompilerHost(compilerOptions);
    const { readFile, fileExists } = host;
    host.readFile = (file) => texts.get(file) ?? readFile(file);
    host.fileExists = (file) => texts.has(file) || fileExists(file);
    const program = ts.createProgram([...texts.keys()], compilerOptions, host);
    const problems = [...texts.keys()].flatMap((file, index) =>
      program
        .getSemanticDiagnostics(program.getSourceFile(file))
        .concat(program.getSyntacticDiagnostics(program.getSourceFile(file)))
        .map(
          ({ messageText }) => `${examples[index]?.at}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`,
        ),
    );
    expect(problems).to.deep.equal([]);
  });
});
