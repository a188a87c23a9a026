import { defineConfig } from "eslint/config";
import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

export default defineConfig(
  {
    files: ["src/**/*.{ts,tsx}", "dashboard/**/*.{ts,tsx}", "test/**/*.{ts,tsx}", "*.config.ts"],
    extends: [ts.configs.strictTypeChecked, hooks.configs.flat["recommended-latest"]],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // `return close();` and `(data) => feed(data)` are shorter and say the same.
      "@typescript-eslint/no-confusing-void-expression": "off",
      // With noUncheckedIndexedAccess it is how to say that an index exists.
      "@typescript-eslint/no-non-null-assertion": "off",
      // The types promise what browsers have; other runtimes do not have it all.
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "@typescript-eslint/prefer-string-starts-ends-with": ["error", { allowSingleElementEquality: "always" }],
      "@typescript-eslint/restrict-plus-operands": ["error", { allowNumberAndString: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowArray: true, allowNumber: true }],
      // Objects are closures: their functions do without `this`.
      "@typescript-eslint/unbound-method": "off",
    },
  },
  {
    // Tests look into JSON and pass what does not fit.
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-base-to-string": "off",
      "@typescript-eslint/no-empty-function": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/require-await": "off",
    },
  },
);
