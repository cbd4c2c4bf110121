export const isDuplicateKey = (error: unknown): boolean =>
  error instanceof Error && error.name === 'MongoServerError' && (error as { code?: unknown }).code === 11_000;
