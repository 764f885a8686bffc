import { type Column, type Contract, ContractError } from "./contract.ts";

/** Contracts and columns that one contract relies on: each is said with the place that names it. */
function checkRelationships(
  contract: Contract,
  byName: ReadonlyMap<string, Contract>,
  problems: string[],
): void {
  for (const column of contract.columns) {
    for (const { table, column: other } of column.relationships) {
      const target = byName.get(table);
      const where = `${contract.file}: column '${column.name}': relationship to '${table}.${other}'`;
      const found = target?.columns.find((candidate) => candidate.name === other);
      if (!target)
        problems.push(
          `${where}: there is no contract '${table}'; there are ${[...byName.keys()].join(", ")}`,
        );
      else if (!found) problems.push(`${where}: '${table}' has no such column (${target.file})`);
      else if (found.type.kind !== column.type.kind) {
        problems.push(`${where}: types differ: ${column.physicalType} here, ${found.physicalType} there`);
      }
    }
  }
}

/** A source must bring each required column of the table it feeds, unless the table has a default for it. */
function checkFeeds(source: Contract, byName: ReadonlyMap<string, Contract>, problems: string[]): void {
  if (!source.feeds) return;
  const table = byName.get(source.feeds);
  if (!table) {
    problems.push(
      `${source.file}: feeds '${source.feeds}': there is no such contract; there are ${[...byName.keys()].join(", ")}`,
    );
    return;
  }
  if (table.zone === "source") {
    problems.push(
      `${source.file}: feeds '${table.name}', which is itself a source (${table.file}); feed a table`,
    );
  }
  const brought = new Set(source.columns.map((column) => column.name));
  for (const column of table.columns) {
    if (column.required && !brought.has(column.name) && column.conform.default === undefined) {
      problems.push(
        `${source.file}: lacks column '${column.name}', which '${table.name}' requires (${table.file}); ` +
          "add it, give the table's column conform: {default: …}, or drop required there",
      );
    }
  }
  if (source.key.join() !== table.key.join()) {
    problems.push(
      `${source.file}: its key (${source.key.join(", ")}) differs from that of '${table.name}' (${table.key.join(", ")}); ` +
        "rows of both could not be matched",
    );
  }
}

/** Rules between contracts; returns every problem, none when all is well. */
export function findProblems(contracts: readonly Contract[]): string[] {
  const problems: string[] = [];
  const byName = new Map<string, Contract>();
  const byTable = new Map<string, Contract>();
  for (const contract of contracts) {
    const same = byName.get(contract.name);
    if (same) problems.push(`${contract.file}: the name '${contract.name}' is also that of ${same.file}`);
    byName.set(contract.name, contract);
    if (!contract.warehouse) continue;
    const other = byTable.get(contract.warehouse.table);
    if (other)
      problems.push(
        `${contract.file}: warehouse.table '${contract.warehouse.table}' is also that of ${other.file}`,
      );
    byTable.set(contract.warehouse.table, contract);
  }
  for (const contract of contracts) {
    checkRelationships(contract, byName, problems);
    checkFeeds(contract, byName, problems);
  }
  return problems;
}

/** @throws ContractError with every problem between the contracts */
export function checkContracts(contracts: readonly Contract[]): void {
  const problems = findProblems(contracts);
  if (problems.length > 0) throw new ContractError(problems);
}

/** The published state of the contracts, what consumers were promised: `columns` has "<type>[ required]" by name. */
export type ContractsLock = Record<string, { version: string; key: string; columns: Record<string, string> }>;

const promise = ({ physicalType, required }: Column): string =>
  `${physicalType}${required ? " required" : ""}`;

/** What `contracts.lock.json` holds for these contracts. */
export function lockOf(contracts: readonly Contract[]): ContractsLock {
  return Object.fromEntries(
    contracts.map((contract) => [
      contract.name,
      {
        version: contract.version,
        key: contract.key.join(", "),
        columns: Object.fromEntries(contract.columns.map((column) => [column.name, promise(column)])),
      },
    ]),
  );
}

/** Who reads a column of a dataset: said in the message about a change that breaks them. */
function consumersOf(contract: string, column: string | undefined, contracts: readonly Contract[]): string[] {
  const consumers: string[] = [];
  for (const other of contracts) {
    if (other.name === contract) {
      if (other.feeds) consumers.push(`the table '${other.feeds}' that it feeds`);
      const shown = other.columns.find(({ name }) => name === column)?.personal !== true;
      if (other.warehouse) {
        consumers.push(
          shown
            ? `the warehouse view mart.${other.warehouse.table}`
            : `the warehouse table stage.${other.warehouse.table}`,
        );
      }
    }
    if (other.feeds === contract) consumers.push(`the source '${other.name}' that feeds it`);
    for (const { name, relationships } of other.columns) {
      if (
        relationships.some((to) => to.table === contract && (column === undefined || to.column === column))
      ) {
        consumers.push(`the relationship of ${other.name}.${name}`);
      }
    }
  }
  return consumers.length > 0 ? consumers : ["readers of the table itself"];
}

const major = (version: string): number => Number(version.split(".")[0]);

/**
 * Changes that break a consumer, compared with what was published: a contract or column gone, another type, another
 * key, a column that may be null now. A new major version is a promise to have told the consumers, and allows them.
 * @returns one line a change: the column, what changed, whom it breaks and what to do
 */
export function breakingChanges(contracts: readonly Contract[], published: ContractsLock): string[] {
  const changes: string[] = [];
  for (const [name, before] of Object.entries(published)) {
    const now = contracts.find((contract) => contract.name === name);
    if (!now) {
      changes.push(
        `contract '${name}' ${before.version} is gone; it breaks ${consumersOf(name, undefined, contracts).join(", ")}`,
      );
      continue;
    }
    if (major(now.version) > major(before.version)) continue;
    const say = (column: string | undefined, what: string): void => {
      const consumers = consumersOf(name, column, contracts).join(", ");
      changes.push(
        `${now.file}: ${what}; it breaks ${consumers}. Keep it, or raise the version from ${before.version} to ` +
          `${major(before.version) + 1}.0.0 once they are told`,
      );
    };
    const key = now.key.join(", ");
    if (before.key !== key) say(undefined, `the key was (${before.key}) and is (${key})`);
    for (const [column, was] of Object.entries(before.columns)) {
      const is = now.columns.find((candidate) => candidate.name === column);
      if (!is) say(column, `column '${column}' ${was} is gone`);
      else if (is.physicalType !== was.replace(/ required$/, "")) {
        say(column, `column '${column}' was ${was} and is ${promise(is)}`);
      } else if (was.endsWith(" required") && !is.required) {
        say(column, `column '${column}' was required and may be null now`);
      }
    }
  }
  return changes;
}
