const { transformSync } = require("@babel/core");
const preset = require("@react-native/babel-preset");

exports.transform = ({ src, filename, options }) => {
  const { ast, metadata } = transformSync(src, {
    ast: true,
    babelrc: false,
    caller: { name: "metro", bundler: "metro", platform: options.platform },
    code: false,
    cloneInputAst: false,
    configFile: false,
    filename,
    presets: [
      [preset, { dev: options.dev, enableBabelRuntime: false, unstable_transformProfile: process.env.HERMES_PROFILE }],
    ],
    sourceType: "unambiguous",
  });
  return { ast, metadata };
};
