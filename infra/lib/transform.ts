import type * as pulumi from "@pulumi/pulumi";

/**
 * Overrides one child resource of a component: either properties that replace the component's own, or a function that
 * changes the arguments and options in place.
 *
 * @example
 * new Lake("shop", { place, ...keys, transform: { bucket: { objectLockEnabled: true } } });
 * @example
 * new Lake("shop", {
 *   place, ...keys,
 *   transform: { bucket: (args, opts, name) => { if (name.endsWith("landing")) opts.protect = true; } },
 * });
 */
export type Transform<Args, Options extends pulumi.ResourceOptions = pulumi.CustomResourceOptions> =
  | Partial<Args>
  | ((args: Args, opts: Options, name: string) => void);

/** Applies a transform and returns what a resource's constructor takes: `new aws.s3.Bucket(...transformed(…))`. */
export function transformed<Args extends object, Options extends pulumi.ResourceOptions>(
  transform: Transform<Args, Options> | undefined,
  name: string,
  args: Args,
  opts: Options,
): [string, Args, Options] {
  if (transform === undefined) return [name, args, opts];
  if (typeof transform !== "function") return [name, { ...args, ...transform }, opts];
  const changed = { ...args };
  const changedOpts = { ...opts };
  transform(changed, changedOpts, name);
  return [name, changed, changedOpts];
}
