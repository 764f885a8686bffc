export function takeLock(file: string): number | undefined;
