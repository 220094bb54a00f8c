/** The role of a projection in a transformer, by Llama's name. */
export type ProjectionRole = (typeof ENDINGS)[number][0];

/** How models call their projections, by the end of the path; the first that fits. */
const ENDINGS = [
  ["q_proj", /(^|\.)(q_proj|query|q_lin|q|wq)$/],
  ["k_proj", /(^|\.)(k_proj|key|k_lin|k|wk)$/],
  ["v_proj", /(^|\.)(v_proj|value|v_lin|v|wv)$/],
  ["qkv_proj", /(^|\.)(c_attn|qkv_proj|query_key_value|Wqkv|qkv)$/],
  ["o_proj", /(^|\.)(o_proj|out_proj|out_lin|wo|(attn|attention)\.(c_proj|dense|output\.dense)|self_attn\.dense)$/],
  ["gate_up_proj", /(^|\.)gate_up_proj$/],
  ["gate_proj", /(^|\.)(gate_proj|w1)$/],
  ["up_proj", /(^|\.)(up_proj|c_fc|fc1|lin1|w3|dense_h_to_4h|intermediate\.dense)$/],
  ["down_proj", /(^|\.)(down_proj|mlp\.c_proj|fc2|lin2|w2|dense_4h_to_h|output\.dense)$/],
  ["lm_head", /(^|\.)lm_head$/],
  ["embed", /(^|\.)(embed_tokens|embed_in|tok_embeddings|wte|word_embeddings)$/],
] as const;

/** The role that a module's path tells, such as `o_proj` of `encoder.layer.0.attention.output.dense`. */
export function roleOfPath(path: string): ProjectionRole | undefined {
  return ENDINGS.find(([, ending]) => ending.test(path))?.[0];
}
