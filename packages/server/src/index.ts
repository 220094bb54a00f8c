export { Keys, SCOPES, type Scope, type StoredKey } from "./auth/keys.js";
export { ServiceError, type ServiceErrorCode } from "./base/errors.js";
export { NUMBERS, type NumberOption, type ServiceOptions } from "./options.js";
export { type Service, startService } from "./service.js";
