// Stands for uWebSockets.js, which npm does not have: the native module of uws-pack, which is a module for `import` only.
const { join } = require('node:path')

const root = join(__dirname, '..', 'node_modules', 'uws-pack', 'bin')
module.exports = require(join(root, `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`))
