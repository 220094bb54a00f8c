import type { FastifyRequest } from "fastify";

/** The log names no path, no text and no user: of a request the route, of an error its kind and its code. */
export function logOptions(level: string) {
  return {
    level,
    serializers: {
      req: ({ method, routeOptions }: FastifyRequest) => ({ method, route: routeOptions?.url }),
      res: ({ statusCode }: { statusCode: number }) => ({ status: statusCode }),
      err: ({ name, code }: { name: string; code?: string }) => ({ type: name, message: code ?? "", stack: "" }),
    },
  };
}
