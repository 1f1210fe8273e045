//! The same app, whose modules are imported.

import { readFileSync } from "node:fs";
import http from "node:http";
import * as http2 from "node:http2";
import https from "node:https";
import { argv } from "node:process";
import * as grpc from "@grpc/grpc-js";
import * as undici from "undici";
import app from "./app.cjs";

const pem = readFileSync(argv[2]);
await app.main({ http, https, http2, undici, grpc }, { key: pem, cert: pem });
