interface ImportMetaEnv {
  /** Where the page finds Sluice. */
  readonly VITE_SLUICE_URL: string;
}
