import type { Resource } from "../rule.ts";

export const extraResources = (_: readonly Resource[]): readonly Resource[] => [];
