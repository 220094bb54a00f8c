import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callerOf, startTestService } from "../service.test-support.js";
import { Tokens, tokenOptions } from "./tokens.js";

const folder = mkdtempSync(join(tmpdir(), "microlora-tokens-"));
afterAll(() => rmSync(folder, { recursive: true }));

const file = join(folder, "keys.json");
const options = { issuer: "https://issuer.example", audience: "microlora", keys: file };
const claims = { tenant: "acme", scope: "openid read feedback", sub: "client-1" };

let sign: (payload: JWTPayload, change?: (token: SignJWT) => SignJWT) => Promise<string>;
let stranger: CryptoKey;
beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  stranger = (await generateKeyPair("ES256")).privateKey;
  writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256", kid: "one" }] }));
  sign = (payload, change = (token) => token) => {
    const token = new SignJWT(payload).setProtectedHeader({ alg: "ES256", kid: "one" });
    return change(
      token.setIssuer(options.issuer).setAudience(options.audience).setIssuedAt().setExpirationTime("5m"),
    ).sign(privateKey);
  };
});

describe("tokens of an issuer", () => {
  test("one that holds speaks for its tenant, with the scopes that there are", async () => {
    const caller = await new Tokens(options).callerOf(await sign(claims));
    expect(caller).toEqual({ key: "token acme client-1", tenant: "acme", scopes: new Set(["read", "feedback"]) });
  });

  test("one that does not hold speaks for nobody", async () => {
    const tokens = new Tokens(options);
    const secret = new TextEncoder().encode("a secret that somebody guessed, long enough for HS256");
    const header = { alg: "HS256", kid: "one" };
    const bad = await Promise.all([
      sign(claims, (token) => token.setAudience("another")),
      sign(claims, (token) => token.setIssuer("https://other.example")),
      sign(claims, (token) => token.setExpirationTime(Math.floor(Date.now() / 1000) - 60)),
      sign(claims, (token) => token.setNotBefore("1h")),
      sign({ scope: "read" }),
      sign({ tenant: "acme" }),
      sign({ tenant: 5, scope: "read" } as unknown as JWTPayload),
      sign({ tenant: "a\0b", scope: "read" }),
      sign({ tenant: "", scope: "admin" }),
      new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", kid: "one" })
        .setIssuer(options.issuer)
        .setExpirationTime("5m")
        .sign(stranger),
      new SignJWT(claims)
        .setProtectedHeader(header)
        .setIssuer(options.issuer)
        .setAudience("microlora")
        .setExpirationTime("5m")
        .sign(secret),
      new UnsecuredJWT(claims).setIssuer(options.issuer).setAudience("microlora").setExpirationTime("5m").encode(),
      "a.b.c",
      "nothing",
    ]);
    for (const token of bad) expect(await tokens.callerOf(token), token).toBeUndefined();
    const [head, , signature] = (await sign(claims)).split(".");
    const other = Buffer.from(JSON.stringify({ ...claims, tenant: "victim" })).toString("base64url");
    expect(await tokens.callerOf(`${head}.${other}.${signature}`)).toBeUndefined();
  });

  test("keys that cannot be fetched are no reason to let anybody in, or to call a token wrong", async () => {
    const tokens = new Tokens({ ...options, keys: "https://127.0.0.1:1/keys" });
    await expect(tokens.callerOf(await sign(claims))).rejects.toMatchObject({ code: "overloaded" });
  });

  test("wrong options are refused by name", () => {
    expect(() => new Tokens({ ...options, keys: join(folder, "nowhere") })).toThrow(/jwtKeys/);
    expect(() => new Tokens({ ...options, keys: "http://issuer.example/keys" })).toThrow(/without https/);
    expect(() => tokenOptions({ jwtIssuer: "x" })).toThrow(/partly set/);
    expect(tokenOptions({})).toBeUndefined();
  });

  test("a service takes them beside keys, each for its own tenant and scope", async () => {
    const jwt = { jwtIssuer: options.issuer, jwtAudience: options.audience, jwtKeys: file };
    const service = await startTestService(jwt);
    const acme = callerOf(service.url, await sign({ ...claims, scope: "read feedback admin" }));
    const other = callerOf(service.url, await sign({ tenant: "other", scope: "read" }));
    const document = { documents: [{ id: "a", text: "orange juice" }] };
    expect((await acme("PUT", "/v1/indexes/shop/documents", document)).status).toBe(200);
    expect((await other("PUT", "/v1/indexes/shop/documents", document)).status).toBe(403);
    expect((await other("POST", "/v1/indexes/shop/search", { query: "orange" })).status).toBe(404);
    expect((await service.call("GET", "/v1/models")).status).toBe(401);
  });
});
