import { render } from "preact";
import { App } from "./page/app.js";
import "./style.css";

render(<App />, document.getElementById("app")!);
