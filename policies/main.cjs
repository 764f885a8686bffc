// The CLI's runner for policy packs is CommonJS and always takes its own TypeScript loader, which knows neither ES
// modules nor imports of .ts files; tsx does.
import("tsx/esm/api")
  .then(({ register }) => {
    register();
    return import("./index.ts");
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
