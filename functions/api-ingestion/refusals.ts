/**
 * What POST /events answers, here and on AWS, when the stream does not take a valid event: a status, and a message that
 * says nothing of what lies behind.
 */
export const refusals = {
  throttled: { status: 429, message: "More events came than the stream takes at once; try again later" },
  tooLarge: { status: 413, message: "The event is larger than the 1 MB that the stream takes" },
  fault: { status: 500, message: "The stream did not take the event; it is not the caller's fault" },
  unavailable: { status: 503, message: "The stream is not available; try again later" },
} as const;
