/** The search loads its embedder when it is needed, which takes a worker that is a module. */
export default { worker: { format: "es" } };
