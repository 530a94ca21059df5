{
  "variables": { "san%": "" },
  "targets": [
    {
      "target_name": "bgworker",
      "sources": [
        "<!@(node -p \"['core','binding'].flatMap(d => require('fs').readdirSync('native/' + d).filter(f => /[.]cc?$/.test(f)).map(f => 'native/' + d + '/' + f)).join(' ')\")"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "native"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "_GNU_SOURCE"],
      "cflags": ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"],
      "cflags_c": ["-std=gnu17"],
      "cflags_cc!": ["-std=gnu++17", "-fexceptions"],
      "cflags_cc": ["-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
      "conditions": [
        ["san!=''", { "cflags": ["-fsanitize=<(san)", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"], "ldflags": ["-fsanitize=<(san)"] }]
      ]
    }
  ]
}
