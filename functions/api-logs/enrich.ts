/** Adds what follows from a record's values: country, network, client program. */
import Bowser from "bowser";
import { type CountryResponse, open } from "maxmind";
import { remembered } from "./cache.ts";
import { type Address, formatAddress, isPublic, networkOf } from "./ip.ts";

/** Where an address is registered. */
export interface Place {
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null;
  /** The registered block, in CIDR notation. */
  readonly network: string | null;
}

const nowhere: Place = { country: null, network: null };

/** Looks addresses up in an MMDB file (@ip-location-db/geo-whois-asn-country-mmdb, CC0), which it reads into memory. */
export async function geography(file: string): Promise<(address: Address) => Place> {
  const reader = await open<CountryResponse>(file).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `the IP database ${file} cannot be read (${why}); set GEO_DATABASE to geo-whois-asn-country.mmdb`,
      {
        cause: error,
      },
    );
  });
  return (address) => {
    if (!isPublic(address)) return nowhere;
    const [found, bits]: [object | null, number] = reader.getWithPrefixLength(formatAddress(address));
    // This database has one field, which is none of MaxMind's own.
    const country = found && "country_code" in found ? found.country_code : undefined;
    if (typeof country !== "string" || country.length !== 2) return nowhere;
    return { country, network: networkOf(address, bits) };
  };
}

/** What a user agent says of itself. */
export interface Agent {
  readonly family: string | null;
  readonly system: string | null;
  readonly device: string | null;
}

const unknownAgent: Agent = { family: null, system: null, device: null };
const botName = /bot\b|crawl|spider|slurp|probe|monitor|health/i;
/** "curl" of "curl/8.4.0": programs that are no browsers name themselves so. */
const product = /^([A-Za-z][\w .-]{0,62}?)(?:\/[\w.+-]+)?(?:\s|$)/;

function parseAgent(text: string): Agent {
  // Bowser's patterns are for browsers; a kilobyte of anything else only costs time.
  const { browser, os, platform } = Bowser.parse(text.slice(0, 1024));
  const bot = platform.type === "bot" || botName.test(text);
  return {
    family: browser.name || product.exec(text)?.[1] || null,
    system: os.name ?? null,
    device: bot ? "bot" : (platform.type ?? null),
  };
}

/** Family, operating system and kind of device of a user agent. */
export const agentOf: (text: string | null) => Agent = remembered((text) =>
  text === null ? unknownAgent : parseAgent(text),
);

/** The host of a referring page; null when it is no address of one. */
export const referrerHost: (text: string | null) => string | null = remembered((text) => {
  if (text === null || !URL.canParse(text)) return null;
  const { hostname } = new URL(text);
  return hostname === "" ? null : hostname.slice(0, 255);
});

/** Segments of customers, from wherever they are kept. */
export interface CustomerSegments {
  /** Segments of those customers that have one. @throws Error when they cannot be looked up */
  of(customerIds: ReadonlySet<string>): Promise<ReadonlyMap<string, string>>;
}
