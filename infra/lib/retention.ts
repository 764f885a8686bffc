import type * as pulumi from "@pulumi/pulumi";

/** What happens to resources that hold data when they are deleted or replaced. */
export interface DataSafety {
  /** Resources with data refuse deletion, and stay in the account when they leave the program. @default true */
  readonly protect?: boolean;
  /**
   * Deleting a resource also deletes the data in it: buckets are emptied. Without it a bucket with objects refuses to
   * be deleted. Has no effect while `protect` is true. @default false
   */
  readonly destroyData?: boolean;
}

/** Options of a resource that holds data. */
export function statefulOptions(safety: DataSafety): pulumi.CustomResourceOptions {
  const protect = safety.protect ?? true;
  return { protect, retainOnDelete: protect };
}

/** True when both settings agree that data may go. */
export function mayDestroyData(safety: DataSafety): boolean {
  return !(safety.protect ?? true) && (safety.destroyData ?? false);
}
