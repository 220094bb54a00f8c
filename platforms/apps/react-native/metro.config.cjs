// As @react-native/metro-config sets Metro up, without what needs an app: its polyfills and assets.
module.exports = {
  resolver: {
    platforms: ["android", "ios"],
    unstable_conditionNames: ["require", "react-native"],
    sourceExts: ["js", "mjs", "json"],
  },
  serializer: { getPolyfills: () => [], getModulesRunBeforeMainModule: () => [] },
  transformer: { babelTransformerPath: require.resolve("./babel-transformer.cjs") },
};
