import tseslint from "typescript-eslint";

const CLOCK = "Use the injected Clock.";

export default tseslint.config(
  {
    ignores: [
      "dist",
      "**/*.mjs",
      "**/*.js",
      "**/*.cjs",
      "**/assembly/**",
      "examples/**/*.js",
      ".graylane",
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "max-lines": ["error", { max: 500 }],
      "max-params": ["error", 4],
      complexity: ["error", 12],
      "no-console": "error",
      "no-restricted-globals": [
        "error",
        { name: "Date", message: CLOCK },
        { name: "setTimeout", message: CLOCK },
        { name: "setInterval", message: CLOCK },
      ],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: "Use the injected Prng." },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "ImportExpression[source.type!='Literal']",
          message: "A dynamic import names its file literally, so that the tidy test sees it.",
        },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/strict-boolean-expressions": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/prefer-readonly": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["test", "suite", "describe", "it"], package: "node:test" },
          ],
        },
      ],
    },
  },
  // The two places where time and chance enter the program.
  {
    files: ["src/base/clock.ts", "src/base/prng.ts"],
    rules: { "no-restricted-globals": "off", "no-restricted-properties": "off" },
  },
  // Byte loops: an index is bounds-checked by its loop; parsers are honest state machines.
  {
    files: ["src/http/**", "src/http2/**", "src/wasm/**"],
    rules: { complexity: "off", "@typescript-eslint/non-nullable-type-assertion-style": "off" },
  },
  {
    files: ["test/**", "bench/**", "**/*.test.ts"],
    rules: {
      "max-lines-per-function": "off",
      "no-restricted-globals": "off",
      "no-restricted-properties": "off",
      "no-console": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
