import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);

/** Where the IP database lies on this machine. */
export const geoDatabase = path.join(
  path.dirname(require.resolve("@ip-location-db/geo-whois-asn-country-mmdb/package.json")),
  "geo-whois-asn-country.mmdb",
);
